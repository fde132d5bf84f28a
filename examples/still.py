"""Faces of one picture, drawn on it and as a table: python examples/still.py group.jpg group-faces.jpg"""

from __future__ import annotations

import sys

import cv2

import rtface


def main(picture: str, drawn: str) -> None:
    image = cv2.imread(picture)
    if image is None:
        sys.exit(f"{picture} is not a picture")
    result = rtface.analyze(image)  # (H, W, 3) BGR; a path is taken too
    for row in result.to_rows():
        x, y = round(row["box_x0_px"]), round(row["box_y0_px"])
        print(f"face at {x}, {y}: {row['emotion']}, yaw {row['yaw_deg']:+.0f}°, score {row['score']:.2f}")
    if not cv2.imwrite(drawn, rtface.draw(image, result)):
        sys.exit(f"{drawn} cannot be written: is its folder there, and does its name end in .jpg or .png?")
    print(f"{len(result)} faces, {result.timing.total_ms:.0f} ms; see {drawn}")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
