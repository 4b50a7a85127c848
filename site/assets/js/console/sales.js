// The sales API (/api/sales/…). Every function answers the JSON, or throws a Refused with the problem.

import { noConnection, problemOf } from "../problem.js";
import { token } from "./oidc.js";

/** The API said no (RFC 9457), or could not be reached (status 0). */
export class Refused extends Error {
  constructor(problem) {
    super(problem.title);
    this.problem = problem;
  }
}

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
  if (!response.ok) throw new Refused(await problemOf(response));
  return response;
}

const call = async (path, options) => (await ask(path, options)).json();
const post = (path, body, headers = {}) =>
  call(path, { method: "POST", headers: { "Content-Type": "application/json", ...headers }, body: JSON.stringify(body) });
const pathOf = (id) => `/orders/${encodeURIComponent(id)}`;

/** What the API calls the text of each action. */
const TEXT = { ask: "question", hold: "reason", reject: "reason", cancel: "reason", notes: "text" };

/** A page of the queue; `filter` is a URLSearchParams of address.js. */
export const orders = (filter, cursor) => call(`/orders?${new URLSearchParams([...filter, ["limit", 50], ...(cursor ? [["cursor", cursor]] : [])])}`);
export const order = (id) => call(pathOf(id));
export const act = ({ id, version }, action, text) =>
  post(`${pathOf(id)}/${action}`, TEXT[action] ? { [TEXT[action]]: text } : {}, { "If-Match": `"${version}"` });
/** Approve several at once: [{id, version}] -> [{id, status, problem?}]. */
export const approveAll = async (orders) => (await post("/approvals", { orders })).results;
export const overview = (month) => call(`/overview?${new URLSearchParams({ month })}`);
export const fleet = async () => (await call("/fleet")).nodes;
/** The queue of this filter as a file. */
export const csv = async (filter) => (await ask(`/export?${filter}`, { headers: { Accept: "text/csv" } })).blob();
