"""The answer as people look at it: boxes and labels on the picture."""

from __future__ import annotations

from collections import Counter

from plaza_models.tasks import Detections
from plaza_models.vision.image import MAX_PIXELS, decode
from plaza_models.vision.paint import BAD, Format, Paint, class_colour
from plaza_models.vision.typeface import PLAIN, Typeface


def draw(
    image: bytes,
    found: Detections,
    *,
    format: Format = "JPEG",
    max_pixels: int = MAX_PIXELS,
    typeface: Typeface = PLAIN,
) -> bytes:
    """`image` as sent with `found` drawn on it, encoded anew. Raises what `image.decode` raises.

    How many there are of each label stands in the lower corner. A box says its score, and its label
    where there are several; one that has no room for it, among better ones, says nothing.
    """
    paint = Paint(decode(image, max_pixels=max_pixels).pixels, typeface)
    for detection in reversed(found.detections):
        paint.outline(detection.box, class_colour(detection.label))
    if found.faults:
        paint.banner(warning(found.faults), BAD)
    counts = Counter(one.label for one in found.detections)
    for label, number in sorted(counts.items(), reverse=True):
        paint.tag_at((0, 1e9), f"{label}: {number}", class_colour(label))
    for one in found.detections:
        text = f"{one.label} {one.score:.2f}" if len(counts) > 1 else f"{one.score:.2f}"
        paint.tag_of(one.box, text, class_colour(one.label))
    return paint.encoded(format)


def warning(faults: tuple[str, ...]) -> str:
    return f"not to be counted on: {', '.join(faults)}"
