// The page of a drawing.

"use strict";

zoomable(document.querySelector(".graph"));
