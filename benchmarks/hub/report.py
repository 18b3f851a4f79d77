"""The results as Markdown tables and as one SVG."""

from __future__ import annotations

from html import escape
from statistics import median

from .scenarios import Figure, Scenario

Results = dict[str, dict[str, list[Figure]]]
"""Figures by scenario and implementation, one for each round."""


def table(scenario: Scenario, results: dict[str, list[Figure]]) -> str:
    ours = median(figure.value for figure in results["notistore"]) if "notistore" in results else None
    lines = [
        f"**{scenario.name}**",
        "",
        f"| implementation | {scenario.unit} | range | beside notistore | bytes | lost |",
        "|---|---|---|---|---|---|",
    ]
    for name, figures in results.items():
        values = [figure.value for figure in figures]
        middle, lost = median(values), f"{sum(figure.lost for figure in figures):,}"
        ratio = f"{middle / ours:.2f}" if ours and ours > 0 else ""
        if dead := sum(figure.dead for figure in figures):
            lost = f"{lost}, and all of {dead} streams"
        size = median(figure.bytes for figure in figures)
        spread = f"{min(values):.3g} to {max(values):.3g}"
        lines.append(f"| {name} | {middle:.3g} | {spread} | {ratio} | {f'{size:.0f}' if size else ''} | {lost} |")
    return "\n".join(lines)


def fill(page: str, parts: dict[str, str]) -> str:
    """The page with each part between its two markers, `<!-- name -->` and `<!-- /name -->`, replaced."""
    for name, part in parts.items():
        before, opened, rest = page.partition(f"<!-- {name} -->\n")
        _, closed, after = rest.partition(f"<!-- /{name} -->\n")
        if not (opened and closed):
            raise ValueError(f"the page has no markers for {name!r}")
        page = f"{before}{opened}{part.strip()}\n{closed}{after}"
    return page


def plot(measured: list[tuple[Scenario, dict[str, list[Figure]]]]) -> str:
    """Horizontal bars, one panel for each scenario, each on a scale of its own."""
    width, label, bar, rows, y = 760, 210, 18, [], 30
    for scenario, results in measured:
        medians = {name: median(f.value for f in figures) for name, figures in results.items()}
        most = max(*medians.values(), 1e-9)
        rows.append(f'<text x="10" y="{y}" font-weight="bold">{escape(scenario.name)}: {escape(scenario.unit)}</text>')
        y += 10
        for name, value in medians.items():
            length = max(1.0, (width - label - 80) * value / most)
            fill = "#2563eb" if name.startswith("notistore") else "#9ca3af"
            rows.append(f'<text x="{label - 8}" y="{y + 13}" text-anchor="end">{escape(name)}</text>')
            rows.append(f'<rect x="{label}" y="{y}" width="{length:.1f}" height="{bar - 4}" fill="{fill}"/>')
            rows.append(f'<text x="{label + length + 6:.1f}" y="{y + 12}">{value:.3g}</text>')
            y += bar
        y += 30
    style = 'font-family="system-ui, sans-serif" font-size="12"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {y}" {style}>'
    return "\n".join([head, f'<rect width="{width}" height="{y}" fill="white"/>', *rows, "</svg>", ""])
