"""The main job on what ships: a real model on real traces, and a small world with known answers."""
