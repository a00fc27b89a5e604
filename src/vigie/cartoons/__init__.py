"""Cartoon people with, without and with a badly worn mask: the demo's training set and its moving camera.

Everything is drawn from a seed with NumPy and OpenCV: the same seed gives the same pixels, and the true boxes
are known exactly.
"""

from vigie.cartoons.faces import LABELS as LABELS
from vigie.cartoons.faces import Face as Face
from vigie.cartoons.faces import Looks as Looks
from vigie.cartoons.moving import MovingScene as MovingScene
from vigie.cartoons.scenes import Light as Light
from vigie.cartoons.scenes import draw_scene as draw_scene
from vigie.cartoons.scenes import random_scene as random_scene

__all__ = ["LABELS", "Face", "Light", "Looks", "MovingScene", "draw_scene", "random_scene"]
