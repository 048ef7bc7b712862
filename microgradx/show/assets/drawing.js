// The page of a drawing alone.

"use strict";

zoomable(document.querySelector(".graph"));
