"use strict";
// The score of every image: a row of dots and a box per method. Drawn by plotly, in the page's colours.
(() => {
  const place = document.getElementById("distributions");
  const colour = (name) => {
    const probe = document.createElement("i");
    probe.style.color = `var(${name})`;
    document.body.append(probe);
    const found = getComputedStyle(probe).color;
    probe.remove();
    return found;
  };
  // plotly takes some tags in its texts; names have none.
  const text = (name) => name.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
  const { metric } = document.documentElement.dataset;
  const jitter = (i) => (((i + 1) * 0.6180339887) % 1 - 0.5) * 0.42;
  const STEP = 64;
  // As in the table below the figure; plotly's own quartiles follow another rule.
  const quartiles = (values) => {
    const sorted = [...values].sort((a, b) => a - b);
    const at = (q) => {
      const place = (sorted.length - 1) * q, low = Math.floor(place);
      return sorted[low] + (place - low) * ((sorted[low + 1] ?? sorted[low]) - sorted[low]);
    };
    const [q1, q3] = [at(0.25), at(0.75)], reach = 1.5 * (q3 - q1);
    const within = sorted.filter((v) => v >= q1 - reach && v <= q3 + reach);
    return { q1: [q1], median: [at(0.5)], q3: [q3], lowerfence: [within[0]], upperfence: [within.at(-1)] };
  };

  report.whenReady((data) => {
    const picture = new Map(data.shown.map((sample, at) => [sample, at]));
    const ringed = (i) => Boolean(data.pictures[picture.get(i)]?.why);
    const runs = data.runs.filter((run) => run.values.some((v) => v !== null));

    const fraction = runs.every((run) => run.values.every((v) => v === null || (v >= 0 && v <= 1)));
    const scale = fraction ? { range: [-0.02, 1.02], dtick: 0.2 } : {};

    const draw = () => {
      const ink = colour("--ink"), soft = colour("--soft"), line = colour("--line");
      const accent = colour("--accent"), paper = colour("--paper");
      const traces = [];
      runs.forEach((run, r) => {
        const at = run.values.flatMap((v, i) => (v === null ? [] : [i]));
        const main = run.control ? soft : accent;
        traces.push({
          type: "box", orientation: "h", y: [r], ...quartiles(at.map((i) => run.values[i])),
          boxpoints: false, width: 0.5, hoverinfo: "skip", line: { color: main, width: 1.5 },
          fillcolor: "rgba(0,0,0,0)", whiskerwidth: 0, showlegend: false,
        });
        traces.push({
          type: "scatter", mode: "markers", x: at.map((i) => run.values[i]), y: at.map((i) => r + jitter(i)),
          customdata: at, text: at.map((i) => text(data.ids[i])),
          hovertemplate: `%{text}<br>${text(metric)} %{x:.3f}<extra></extra>`, showlegend: false,
          marker: {
            color: main, opacity: at.map((i) => (ringed(i) ? 1 : 0.45)),
            size: at.map((i) => (ringed(i) ? 9 : 5)),
            line: { color: ink, width: at.map((i) => (ringed(i) ? 1.5 : 0)) },
          },
        });
      });
      const layout = {
        height: STEP * runs.length + 64, margin: { l: 8, r: 8, t: 8, b: 44 },
        paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", hovermode: "closest", dragmode: false,
        font: { family: getComputedStyle(document.body).fontFamily, color: ink, size: 13 },
        hoverlabel: { bgcolor: paper, bordercolor: line, font: { color: ink } },
        xaxis: { ...scale, fixedrange: true, gridcolor: line, zeroline: false, title: { text: text(metric), font: { size: 13 }, standoff: 8 }, tickfont: { color: soft } },
        yaxis: { range: [runs.length - 0.6, -0.65], fixedrange: true, visible: false },
        shapes: runs.slice(1).map((_, r) => ({
          type: "line", xref: "paper", x0: 0, x1: 1, y0: r + 0.36, y1: r + 0.36, line: { color: line, width: 1 },
        })),
        annotations: runs.map((run, r) => ({
          x: 0, y: r - 0.42, xref: "paper", yref: "y", xanchor: "left", borderpad: 1, showarrow: false, font: { color: ink, size: 13 },
          text: text(run.name) + (run.status === "complete" ? "" : ` <i>${text(run.status)}</i>`), bgcolor: paper,
        })),
      };
      Plotly.react(place, traces, layout, { displayModeBar: false, responsive: true });
    };

    draw();
    place.on("plotly_click", (event) => {
      const at = picture.get(event.points[0].customdata);
      if (at !== undefined) document.dispatchEvent(new CustomEvent("openpicture", { detail: at }));
    });
    document.addEventListener("themechange", draw);
  });
})();
