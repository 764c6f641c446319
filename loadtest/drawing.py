"""Line charts as small SVG files."""

from collections.abc import Mapping, Sequence
from html import escape

WIDTH, HEIGHT = 520, 240
LEFT, RIGHT, TOP, BOTTOM = 54, 28, 36, 44
LEGEND = 86
COLOURS = "#2563eb", "#ea580c", "#059669"
STYLE = (
    "text{font:12px sans-serif;fill:#334155}.title{font-weight:bold}"
    ".grid{stroke:#e2e8f0}.line{fill:none;stroke-width:2}"
)


def chart(
    title: str, axis: str, labels: Sequence[str], series: Mapping[str, Sequence[float]]
) -> str:
    """Return an SVG document with a line for each series over the same labels.

    The labels are equally far apart, and the scale of the values begins at 0.
    """
    top = _round_up(max(value for values in series.values() for value in values))
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM

    def x(place: int) -> float:
        return LEFT + (right - LEFT) * (place / max(1, len(labels) - 1))

    def y(value: float) -> float:
        return bottom - (bottom - TOP) * value / top

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="{escape(title)}">',
        f"<style>{STYLE}</style>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        _text(8, 18, title, "start", "title"),
        _text((LEFT + right) / 2, HEIGHT - 8, axis, "middle"),
    ]
    for quarter in range(5):
        value = top * quarter / 4
        parts.append(
            f'<path class="grid" d="M{LEFT} {y(value):.1f}H{right}"/>'
            + _text(LEFT - 6, y(value) + 4, f"{value:,.0f}", "end")
        )
    for place, label in enumerate(labels):
        parts.append(_text(x(place), bottom + 16, label, "middle"))
    for number, (name, values) in enumerate(series.items()):
        colour = COLOURS[number % len(COLOURS)]
        points = [f"{x(place):.1f} {y(value):.1f}" for place, value in enumerate(values)]
        parts.append(f'<path class="line" stroke="{colour}" d="M{"L".join(points)}"/>')
        parts += [
            f'<circle cx="{point.split()[0]}" cy="{point.split()[1]}" r="3" fill="{colour}"/>'
            for point in points
        ]
        corner = WIDTH - LEGEND * (len(series) - number)
        parts.append(
            f'<path class="line" stroke="{colour}" d="M{corner} 14h14"/>'
            + _text(corner + 18, 18, name, "start")
        )
    return "\n".join([*parts, "</svg>", ""])


def _text(x: float, y: float, content: str, anchor: str, style: str = "") -> str:
    kind = f' class="{style}"' if style else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{kind}>{escape(content)}</text>'


def _round_up(value: float) -> float:
    """Return a number with one or two digits before its zeros, and not less than the value."""
    scale = 10.0 ** (len(str(int(value))) - 1)
    return next(step * scale for step in (1, 1.2, 1.6, 2, 3, 4, 6, 8, 10) if step * scale >= value)
