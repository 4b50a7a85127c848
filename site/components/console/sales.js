// The sales API (/api/sales/…). Every function answers the JSON, or throws a Refused with the problem.

import { noConnection, problemOf } from "../shared/problem.js";
import { token } from "./oidc.js";

/** The API said no (RFC 9457), or could not be reached (status 0). */
export class Refused extends Error {
  constructor(problem) {
    super(problem.title);
    this.problem = problem;
  }
}

const held = new Map(); // path -> [entity tag, body], of what was asked of late

async function ask(path, options = {}) {
  let response;
  try {
    response = await fetch(`/api/sales${path}`, {
      ...options,
      headers: { Accept: "application/json", Authorization: `Bearer ${token()}`, ...options.headers },
    });
  } catch {
    throw new Refused(noConnection);
  }
  if (!response.ok && response.status !== 304) throw new Refused(await problemOf(response));
  return response;
}

const call = async (path, options) => (await ask(path, options)).json();

/** GET; what has not changed since comes as the same object again, and costs the API no answer. */
async function get(path) {
  const [tag, body] = held.get(path) ?? [];
  const response = await ask(path, { headers: tag ? { "If-None-Match": tag } : {} });
  if (response.status === 304) return body;
  const news = await response.json();
  if (held.size > 20) held.clear();
  held.set(path, [response.headers.get("etag"), news]);
  return news;
}

const post = (path, body, headers = {}) =>
  call(path, {
    method: "POST",
    headers: { "Content-Type": "application/json", ...headers },
    body: JSON.stringify(body),
  });
const pathOf = (id) => `/orders/${encodeURIComponent(id)}`;

/** A page of the queue; `filter` is a URLSearchParams of address.js. */
export const orders = (filter, cursor) =>
  get(`/orders?${new URLSearchParams([...filter, ["limit", 50], ...(cursor ? [["cursor", cursor]] : [])])}`);
/** Which orders changed since an earlier answer's `until`, and how many there are in each state: {items, counts, until, more}. */
export const changes = (since) => call(`/changes${since ? `?${new URLSearchParams({ since })}` : ""}`);
export const order = (id) => get(pathOf(id));
/** The other orders of who placed this one. */
export const related = (id) => call(`${pathOf(id)}/related`);
/** The mail {to, subject, text} that the customer would get of a decision; text is null when none is sent. */
export const preview = ({ id }, decision, reason) =>
  post(`${pathOf(id)}/preview`, { decision, ...(reason ? { reason } : {}) });

const change = ({ id, version }, path, body) => post(`${pathOf(id)}/${path}`, body, { "If-Match": `"${version}"` });
/** Do an action of data/console.toml: `text` is what the customer reads, `note` what colleagues read. */
export const act = (order, { id, path = id, text: field }, text, note) =>
  change(order, path, { ...(field ? { [field]: text } : {}), ...(note ? { note } : {}) });
export const note = (order, text) => change(order, "notes", { text });
export const correct = (order, fields) => change(order, "correct", fields);
/** Approve several at once: [{id, version}] -> [{id, status, problem?}]. */
export const approveAll = async (orders) => (await post("/approvals", { orders })).results;
export const overview = (month) => get(`/overview?${new URLSearchParams({ month })}`);
export const fleet = async () => (await get("/fleet")).nodes;
/** What a server measured in the last day: {samples: [{at, values}]}. */
export const metrics = (id) => get(`/fleet/${encodeURIComponent(id)}/metrics`);
export const customers = (q) => get(`/customers?${new URLSearchParams(q ? { q } : {})}`);
export const customer = (id) => get(`/customers/${encodeURIComponent(id)}`);
/** Do something for a customer; the answer is the customer after it. */
export const changeCustomer = ({ id, version }, body) =>
  post(`/customers/${encodeURIComponent(id)}/changes`, body, { "If-Match": `"${version}"` });
/** Make another customer part of this one (`same`), or note that it is somebody else; the answer is the customer after it. */
export const joinCustomer = ({ id, version }, body) =>
  post(`/customers/${encodeURIComponent(id)}/join`, body, { "If-Match": `"${version}"` });
/** The queue of this filter as a file. */
export const csv = async (filter) => (await ask(`/export?${filter}`, { headers: { Accept: "text/csv" } })).blob();
