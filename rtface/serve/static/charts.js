"use strict";
// Two charts by uPlot: age and level of results, and the hours of today.

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const clock = (_, times) => times.map((time) => new Date(time * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hour12: false }));
const seconds = (_, times) => times.map((time) => new Date(time * 1000).toLocaleTimeString([], { hour12: false }));
const axis = (more) => ({ stroke: css("--soft"), grid: { stroke: css("--line"), width: 1 }, ticks: { stroke: css("--line") }, ...more });

function makeChart(element, options, data) {
  element.textContent = "";
  const chart = new uPlot({ width: Math.max(element.clientWidth, 200), height: 190, ...options }, data, element);
  new ResizeObserver(() => chart.setSize({ width: Math.max(element.clientWidth, 200), height: 190 })).observe(element);
  return chart;
}

class Timeline {
  constructor(element) {
    this.element = element;
    this.data = [[], [], [], []];
    this.budget = null;
    this.make();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.make());
  }
  make() {
    this.chart = makeChart(this.element, {
      scales: { x: { time: true }, ms: { range: (_, __, max) => [0, Math.max(max * 1.15, (this.budget ?? 0) * 1.2, 10)] },
        level: { range: (_, __, max) => [0, Math.max(max + 1, 4)] } },
      axes: [axis({ values: seconds, space: 80 }), axis({ scale: "ms", label: "ms", labelSize: 16, size: 44 }),
        axis({ scale: "level", side: 1, grid: { show: false }, label: "level", labelSize: 16, size: 36, incrs: [1, 2, 5] })],
      series: [{}, { label: "age ms", scale: "ms", stroke: css("--one"), width: 1.5, points: { show: false } },
        { label: "budget ms", scale: "ms", stroke: css("--soft"), dash: [6, 5], width: 1, points: { show: false } },
        { label: "level", scale: "level", stroke: css("--two"), width: 2, points: { show: false },
          paths: uPlot.paths.stepped({ align: 1 }) }],
    }, this.data);
  }
  fill(record) {
    this.data = [record.time_s, record.age_ms, record.time_s.map(() => this.budget), record.level];
    this.chart.setData(this.data);
  }
  add(time, age, level) {
    const last = this.data[0].at(-1) ?? 0;
    if (time - last < 0.1) return;
    [time, age, this.budget, level].forEach((value, row) => this.data[row].push(value));
    if (this.data[0].length > 600) this.data.forEach((column) => column.shift());
    if (!document.hidden) this.chart.setData(this.data);
  }
}

class Hours {
  constructor(element) {
    this.element = element;
    this.data = [[], [], []];
    this.make();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.make());
  }
  make() {
    const bars = (align) => uPlot.paths.bars({ size: [0.42, 40], align });
    this.chart = makeChart(this.element, {
      scales: { x: { time: true, range: () => this.span() }, y: { range: (_, __, max) => [0, Math.max(max * 1.1, 4)] } },
      axes: [axis({ values: clock, incrs: [3600, 7200, 10800, 21600] }), axis({ size: 40, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000] })],
      series: [{}, { label: "visits", stroke: css("--one"), fill: css("--one"), paths: bars(-1), points: { show: false } },
        { label: "watchers", stroke: css("--two"), fill: css("--two"), paths: bars(1), points: { show: false } }],
    }, this.data);
  }
  span() {
    const day = new Date(), start = day.setHours(0, 0, 0, 0) / 1000;
    return [start, start + 86400];
  }
  fill(hours) {
    // Every hour of the day has a place, so that bars are as wide as hours.
    const [start] = this.span(), found = new Map(hours.map((hour) => [Date.parse(hour.start) / 1000, hour]));
    const places = Array.from({ length: 24 }, (_, row) => start + 3600 * row);
    this.data = [places.map((place) => place + 1800), places.map((place) => found.get(place)?.visits ?? 0),
      places.map((place) => found.get(place)?.watchers ?? 0)];
    this.chart.setData(this.data);
  }
}
