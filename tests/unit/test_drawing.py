"""The drawings of the benchmark's curves."""

from __future__ import annotations

from xml.etree import ElementTree

from loadtest.drawing import chart

SVG = "{http://www.w3.org/2000/svg}"


def test_a_chart_has_a_point_for_each_value_over_a_scale_from_zero() -> None:
    drawing = ElementTree.fromstring(
        chart("Cost & age", "edits", ["1", "10", "100"], {"a": [0, 95, 190], "b": [20, 20, 20]})
    )
    points = [
        (point.get("cx"), float(point.get("cy", ""))) for point in drawing.iter(SVG + "circle")
    ]
    assert len(points) == 6
    assert len({x for x, _ in points}) == 3
    lowest, middle, highest = (y for _, y in points[:3])
    assert middle == (lowest + highest) / 2
    texts = [text.text for text in drawing.iter(SVG + "text")]
    assert {"Cost & age", "edits", "100", "200", "0", "a", "b"} <= set(texts)
