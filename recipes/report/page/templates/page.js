"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const narrow = matchMedia("(max-width: 40rem)");
  // On a touch screen, dragging scrolls the page.
  const coarse = matchMedia("(pointer: coarse)");
  const state = { axis: "step", logX: false, logY: null, smoothing: 0, runs: new Set(data.runs.map((_, i) => i)), range: null };
  const charts = new Map();
  // 1, 2 and 5 of each decade; plotly has no setting for this.
  const places = Array.from({ length: 60 }, (_, i) => [1, 2, 5][i % 3] * 10 ** (Math.floor(i / 3) - 4));
  const logTicks = { tickvals: places, ticktext: places.map((value) => Intl.NumberFormat("en", { notation: "compact" }).format(value)) };

  // plotly interprets some HTML in names; names of runs are text.
  const plain = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const colour = (run) => data.colours[dark.matches ? "dark" : "light"][run % data.colours.light.length];

  function mix(hex, share) {
    const parts = (text) => [1, 3, 5].map((i) => parseInt(text.slice(i, i + 2), 16));
    const page = parts(css("--page"));
    return `rgb(${parts(hex).map((part, i) => Math.round(page[i] + share * (part - page[i]))).join(",")})`;
  }

  // Converts steps to the chosen unit by interpolating the run's own logs; null outside of them.
  function toAxis(run, steps) {
    if (state.axis === "step") return steps;
    const from = data.runs[run].axes.step, to = data.runs[run].axes[state.axis];
    let i = 0;
    return steps.map((step) => {
      while (i + 1 < from.length - 1 && from[i + 1] < step) i++;
      if (step < from[0] || step > from[from.length - 1] || to[i] === null) return null;
      if (i + 1 >= from.length || step === from[i]) return to[i];
      if (to[i + 1] === null) return null;
      return to[i] + ((to[i + 1] - to[i]) * (step - from[i])) / (from[i + 1] - from[i]);
    });
  }

  // Exponential moving average, corrected for its bias at the start.
  function smooth(values) {
    let mean = 0, weight = 0;
    return values.map((value) => {
      if (value === null) return null;
      mean = state.smoothing * mean + (1 - state.smoothing) * value;
      weight = state.smoothing * weight + (1 - state.smoothing);
      return mean / weight;
    });
  }

  function lines(series, name, line, width) {
    const x = toAxis(series.run, series.step);
    const mode = series.step.length <= 12 ? "lines+markers" : "lines";
    const common = { x, mode, marker: { size: 5 }, legendgroup: name };
    const shown = { ...common, y: state.smoothing ? smooth(series.y) : series.y, name: plain(name), line: { ...line, width } };
    if (!state.smoothing && series.interval) shown.error_y = { type: "data", array: series.interval, thickness: 1, width: 2 };
    if (!state.smoothing) return [shown];
    const raw = { ...common, y: series.y, showlegend: false, hoverinfo: "skip", opacity: 0.3, line: { ...line, width: 1, dash: "solid" } };
    return [raw, shown];
  }

  function layout(options) {
    const axis = { gridcolor: css("--grid"), zeroline: false, linecolor: css("--line"), automargin: true, color: css("--quiet") };
    const logY = state.logY === null ? options.log : state.logY;
    return {
      margin: { l: 52, r: options.rate ? 56 : 12, t: 8, b: 40 },
      paper_bgcolor: css("--page"), plot_bgcolor: css("--page"),
      font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: css("--text") },
      hovermode: "x unified",
      hoverlabel: { bgcolor: css("--raised"), bordercolor: css("--line"), font: { color: css("--text") }, namelength: -1 },
      dragmode: coarse.matches ? false : "zoom",
      showlegend: !narrow.matches && options.legend !== false && options.lines <= 6,
      legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0, font: { size: 11 } },
      xaxis: { ...axis, title: { text: data.axes[state.axis], standoff: 6, font: { size: 11 } },
        type: state.logX && !options.own ? "log" : "linear", exponentformat: "SI", range: options.own ? undefined : state.range ?? wholeRange(),
        nticks: narrow.matches ? 5 : 8, ...(state.logX && !options.own ? logTicks : {}) },
      yaxis: { ...axis, fixedrange: true, type: logY ? "log" : "linear", tickformat: options.percent ? ".2~%" : undefined, nticks: 6, ...(options.share && !logY ? { range: [-0.02, 1.02] } : {}),
        hoverformat: options.percent ? ".1%" : ".4~g", exponentformat: "SI", ...(logY ? logTicks : {}) },
      shapes: options.shapes ?? [],
      ...(options.rate ? { yaxis2: { ...axis, overlaying: "y", side: "right", showgrid: false, fixedrange: true, rangemode: "tozero", nticks: 4,
        exponentformat: "power", title: { text: "learning rate", font: { size: 11 } } } } : {}),
    };
  }

  function draw(div, traces, options) {
    const config = { displayModeBar: false, responsive: true, scrollZoom: false };
    const lines = traces.filter((trace) => trace.showlegend !== false).length;
    Plotly.react(div, traces, layout({ ...options, lines }), config);
    if (charts.has(div) || options.own) return;
    charts.set(div, true);
    div.on("plotly_relayout", (change) => {
      const range = "xaxis.range[0]" in change ? [change["xaxis.range[0]"], change["xaxis.range[1]"]] : change["xaxis.range"];
      if (range || change["xaxis.autorange"]) zoomTo(range ?? null);
    });
  }

  function zoomTo(range) {
    if (JSON.stringify(range) === JSON.stringify(state.range)) return;
    state.range = range;
    drawAll();
  }

  function chanceLines(values) {
    return values.map((value) => ({ type: "line", xref: "paper", x0: 0, x1: 1, y0: value, y1: value,
      line: { color: css("--quiet"), width: 1, dash: "dot" },
      label: { text: "chance", textposition: "start", font: { size: 10, color: css("--quiet") }, yanchor: "bottom" } }));
  }

  function drawLogged() {
    for (const chart of data.charts) {
      const traces = [];
      for (const series of chart.series) {
        if (!state.runs.has(series.run)) continue;
        const name = chart.names > 1 ? `${data.runs[series.run].label}, ${series.name}` : data.runs[series.run].label;
        traces.push(...lines(series, name, { color: colour(series.run), dash: series.dash }, series.dash === "solid" ? 2 : 1.6));
      }
      const options = { log: chart.log, percent: chart.percent, shapes: chanceLines(chart.chance) };
      draw(document.querySelector(`[data-chart="${chart.key}"]`), traces, options);
    }
  }

  function chosenLayers() {
    return new Set([...document.querySelectorAll("#layers input:checked")].map((box) => Number(box.value)));
  }

  function fillLayers() {
    const kind = data.dynamics[byId("quantity").value];
    const layers = [...new Set(kind.series.map((series) => series.layer))].sort((a, b) => a - b);
    const legend = document.createElement("legend");
    legend.textContent = "Layers";
    byId("layers").replaceChildren(legend);
    for (const layer of layers) {
      const label = document.createElement("label"), box = document.createElement("input");
      box.type = "checkbox";
      box.value = layer;
      box.checked = layer >= 0 || layers.length === 1;
      box.addEventListener("change", drawDynamics);
      label.append(box, layer < 0 ? (layers.length > 1 ? " mean" : " all") : ` ${layer}`);
      byId("layers").append(label);
    }
    fillPanels(kind);
  }

  function fillPanels(kind) {
    for (const div of byId("panels").querySelectorAll(".chart")) {
      Plotly.purge(div);
      charts.delete(div);
    }
    byId("panels").replaceChildren(...[...new Set(kind.series.map((series) => series.module))].map((module) => {
      const figure = document.createElement("figure"), title = document.createElement("h3"), div = document.createElement("div");
      title.textContent = module || kind.title;
      div.className = "chart";
      div.dataset.module = module;
      div.setAttribute("role", "img");
      div.setAttribute("aria-label", `${kind.title}, ${module}`);
      figure.append(title, div);
      return figure;
    }));
  }

  function drawDynamics() {
    if (!data.dynamics.length) return;
    const kind = data.dynamics[byId("quantity").value], layers = chosenLayers();
    const depth = Math.max(...kind.series.map((series) => series.layer)) + 1;
    for (const div of byId("panels").querySelectorAll(".chart")) {
      const traces = [], own = kind.series.filter((series) => series.module === div.dataset.module);
      const withoutLayers = own.every((series) => series.layer < 0);
      for (const series of own) {
        if (!state.runs.has(series.run) || !(withoutLayers || layers.has(series.layer))) continue;
        const mean = series.layer < 0, share = mean ? 1 : 0.3 + (0.7 * (series.layer + 1)) / depth;
        const name = `${data.runs[series.run].label}, ${mean ? "mean" : `layer ${series.layer}`}`;
        traces.push(...lines(series, name, { color: mix(colour(series.run), share), dash: mean ? "dash" : "solid" }, 1.8));
      }
      draw(div, traces, { legend: false, share: kind.share, shapes: chanceLines(kind.chance) });
    }
  }

  function drawPhase() {
    if (!data.phases.length) return;
    const phase = data.phases[byId("phase-curve").value], tone = colour(phase.run), over = (steps) => toAxis(phase.run, steps);
    const points = phase.changePoints.map((point) => point.map((step) => over([step])[0]));
    const shapes = points.filter((point) => !point.includes(null)).flatMap((point) => [
      { type: "rect", yref: "paper", x0: point[1], x1: point[2], y0: 0, y1: 1, fillcolor: css("--band"), line: { width: 0 }, layer: "below" },
      { type: "line", yref: "paper", x0: point[0], x1: point[0], y0: 0, y1: 1, line: { color: css("--quiet"), width: 1 } },
    ]);
    const values = { x: over(phase.step), y: phase.y, name: "logged", mode: "lines+markers", marker: { size: 4 }, line: { color: mix(tone, 0.45), width: 1 } };
    const band = [{ x: over(phase.x), y: phase.low }, { x: over(phase.x), y: phase.high, fill: "tonexty", fillcolor: css("--band") }]
      .map((edge) => ({ ...edge, mode: "lines", line: { width: 0 }, hoverinfo: "skip", showlegend: false }));
    const fit = { x: over(phase.x), y: phase.fitted, name: "fit, with its 95 % band", mode: "lines", line: { color: tone, width: 2.4 } };
    const rate = phase.rate.length ? [{ x: over(phase.step), y: phase.rate, yaxis: "y2", name: "learning rate", mode: "lines", line: { color: css("--quiet"), width: 1.2, dash: "dot" } }] : [];
    draw(byId("phase-chart"), [...rate, values, ...(phase.x.length ? [...band, fit] : [])], { own: true, shapes, rate: rate.length });
    byId("phase-text").textContent = phase.text;
  }

  function drawAll() {
    drawLogged();
    drawDynamics();
    drawPhase();
  }

  function recolour() {
    for (const part of document.querySelectorAll("[data-run]")) part.style.setProperty("--run", colour(Number(part.dataset.run)));
    drawAll();
  }

  function fill(select, names) {
    select.replaceChildren(...names.map((name, i) => new Option(name, i)));
  }

  // From the first to the last logged value of the visible runs, in the axis's own coordinates (log10 on a logarithmic axis).
  function wholeRange() {
    let low = Infinity, high = -Infinity;
    for (const run of state.runs) {
      for (const value of data.runs[run].axes[state.axis]) {
        if (value === null || (state.logX && value <= 0)) continue;
        low = Math.min(low, value);
        high = Math.max(high, value);
      }
    }
    if (!(low < high)) return undefined;
    const ends = state.logX ? [Math.log10(low), Math.log10(high)] : [low, high], air = 0.02 * (ends[1] - ends[0]);
    return [ends[0] - air, ends[1] + air];
  }

  function zoom(how) {
    if (how === "reset") return zoomTo(null);
    const [low, high] = state.range ?? wholeRange() ?? [0, 1];
    const width = high - low, moves = { in: [0.25, -0.25], out: [-0.5, 0.5], left: [-0.25, -0.25], right: [0.25, 0.25] }[how];
    zoomTo([low + moves[0] * width, high + moves[1] * width]);
  }

  function listen() {
    const overs = document.querySelectorAll("select.axis");
    for (const over of overs) {
      over.addEventListener("change", () => {
        state.axis = over.value;
        state.range = null;
        for (const other of overs) other.value = over.value;
        drawAll();
      });
    }
    byId("log-x").addEventListener("change", (event) => { state.logX = event.target.checked; state.range = null; drawAll(); });
    byId("log-y").addEventListener("change", (event) => { state.logY = event.target.checked; drawAll(); });
    byId("smoothing").addEventListener("input", (event) => {
      state.smoothing = Number(event.target.value);
      byId("smoothing-value").textContent = state.smoothing ? state.smoothing.toFixed(2) : "off";
      drawAll();
    });
    for (const box of document.querySelectorAll("#runs input")) {
      box.addEventListener("change", () => {
        state.runs[box.checked ? "add" : "delete"](Number(box.value));
        drawAll();
      });
    }
    for (const button of document.querySelectorAll("[data-zoom]")) button.addEventListener("click", () => zoom(button.dataset.zoom));
    if (data.dynamics.length) {
      fill(byId("quantity"), data.dynamics.map((kind) => kind.title));
      byId("quantity").addEventListener("change", () => { fillLayers(); drawDynamics(); });
      fillLayers();
    }
    if (data.phases.length) {
      fill(byId("phase-curve"), data.phases.map((phase) => phase.name));
      byId("phase-curve").addEventListener("change", drawPhase);
    }
    dark.addEventListener("change", recolour);
    narrow.addEventListener("change", drawAll);
  }

  listen();
  recolour();
  document.documentElement.dataset.drawn = charts.size;
})();
