"""The scene that workflows' tests play in."""

from tests.workflows.conftest import clock, outside, scene, standin

__all__ = ["clock", "outside", "scene", "standin"]
