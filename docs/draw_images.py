"""Draws the images of the README and the guide again: `python docs/draw_images.py`.

The pages are photographed in the system's Chromium.
"""

from pathlib import Path
from shutil import which

import numpy as np

import microgradx as mg

IMAGES = Path(__file__).parent / "images"


def softmax_composed():
    z = mg.Tensor([2.0, 1.0, 0.1], requires_grad=True, name="logits")
    y = np.array([1.0, 0.0, 0.0])
    e = np.exp(z - z.max())
    p = e / e.sum()
    return -np.sum(y * np.log(p))


def training_step():
    generator = np.random.default_rng(0)
    model = mg.nn.MLP(2, [4], 3, "tanh", generator=generator)
    features = mg.Tensor(generator.normal(size=(4, 2)), name="features", dtype=np.float32)
    return mg.cross_entropy(model(features), mg.Tensor([0, 1, 2, 1], name="labels"))


def draw_images():
    from playwright.sync_api import sync_playwright

    loss = softmax_composed()
    loss.draw().save(IMAGES / "softmax.svg")
    loss = training_step()
    loss.draw().save(IMAGES / "training_step.svg")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=which("chromium"), args=["--no-sandbox"]
        )
        tab = browser.new_page(viewport={"width": 1280, "height": 800})
        for page, step, name in (
            (loss.explain(), "#step=7", "explain.png"),
            (mg.explain_softmax([2, 1, 0.1], 0), "", "explain_softmax.png"),
        ):
            path = page.save(IMAGES / "page.html")
            tab.goto(f"{path.as_uri()}{step}")
            tab.reload()
            tab.screenshot(path=IMAGES / name, animations="disabled")
            path.unlink()
        browser.close()


if __name__ == "__main__":
    draw_images()
