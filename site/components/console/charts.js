// What a server measured in the last day, a small chart a number: drawn here, in the page's own colours.

import { element, fill, pageData } from "../shared/dom.js";
import { hour } from "../shared/time.js";

const SVG = "http://www.w3.org/2000/svg";
const [WIDTH, HEIGHT, PAD] = [240, 56, 4];
const DAY = 24 * 3600 * 1000;
/** From here on a line is broken: so long nothing was measured. */
const GAP = 11 * 60 * 1000;

/** Names and words of all numbers, in order (data/node_metrics.toml). */
export const metrics = pageData("node-metrics");

const figure = new Intl.NumberFormat("nl-NL", { maximumFractionDigits: 2 });

function shape(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  return made;
}

/** The points of one number, [moment, value] by time, from samples [{at, values}]. */
export const pointsOf = ({ name, divide = 1 }, samples) =>
  samples
    .filter(({ values }) => Number.isFinite(values[name]))
    .map(({ at, values }) => [Date.parse(at), values[name] / divide]);

/** The path of a line through these points over the day that ends at `until`; a dot where a point stands alone. */
export function path(points, until) {
  const top = Math.max(...points.map(([, value]) => value), 0) || 1;
  const x = (moment) => (WIDTH * (1 - (until - moment) / DAY)).toFixed(1);
  const y = (value) => (HEIGHT - PAD - ((HEIGHT - 2 * PAD) * Math.max(0, value)) / top).toFixed(1);
  return points
    .map(([moment, value], index) => {
      const before = points[index - 1];
      const follows = before && moment - before[0] <= GAP;
      return follows ? `L${x(moment)} ${y(value)}` : `M${x(moment)} ${y(value)}h.1`;
    })
    .join("");
}

/** One number as a figure: what it is, the newest value, and its line, with the same in words. */
function chart(metric, samples, until) {
  const points = pointsOf(metric, samples);
  const told = (value) => `${figure.format(value)}${metric.unit ? ` ${metric.unit}` : ""}`;
  const [, last] = points.at(-1) ?? [0, 0];
  const values = points.map(([, value]) => value);
  const spoken = points.length
    ? fill("{label}: laatst {last}, laagste {least}, hoogste {most}", {
        label: metric.label,
        last: told(last),
        least: told(Math.min(...values)),
        most: told(Math.max(...values)),
      })
    : `${metric.label}: niet gemeten`;
  const drawn = shape("svg", { class: "spark", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": spoken });
  drawn.append(shape("path", { class: "spark__ground", d: `M0 ${HEIGHT - PAD + 0.5}H${WIDTH}` }));
  if (points.length) drawn.append(shape("path", { class: "spark__line", d: path(points, until) }));
  return element(
    "figure",
    { "data-metric": metric.name },
    element("figcaption", {}, metric.label, element("strong", {}, points.length ? told(last) : "niet gemeten")),
    drawn,
  );
}

/** All numbers of a server, from its samples, as they are at `until`. */
export function charts(samples, until) {
  const newest = samples.at(-1);
  return [
    element(
      "p",
      { class: "meta" },
      newest
        ? `Het laatste etmaal, elke vijf minuten; het laatst gemeten om ${hour(new Date(newest.at))}.`
        : "Deze server heeft het laatste etmaal niets gemeten.",
    ),
    element("div", { class: "sparks" }, ...(newest ? metrics.map((metric) => chart(metric, samples, until)) : [])),
  ];
}
