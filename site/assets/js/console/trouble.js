// What goes wrong: told at the top, and an expired session signs in again and comes back here with nothing typed lost.

import { byId } from "../dom.js";
import { signedInJustNow, signIn } from "./oidc.js";
import { Refused } from "./sales.js";

let offline = false; // the last thing that went wrong was the connection

export function showProblem({ title, detail }) {
  byId("problem-title").textContent = `${title}.`;
  byId("problem-detail").textContent = detail ?? "";
  byId("problem").hidden = false;
}

export const clearProblem = () => (byId("problem").hidden = true);

/** Run something that speaks to the API; answers the problem when it was refused. */
export async function attempt(action) {
  try {
    await action();
    if (offline) clearProblem();
    offline = false;
    return null;
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    const { problem } = error;
    offline = problem.status === 0;
    // A token that is refused right after it was given would send us round in circles.
    if (problem.status === 401 && !signedInJustNow()) {
      await signIn();
    } else if (problem.status === 401) {
      showProblem({ title: "U hebt geen toegang", detail: "Uw account wordt hier niet geaccepteerd. Vraag de beheerder om toegang." });
    } else {
      showProblem(problem);
    }
    return problem;
  }
}
