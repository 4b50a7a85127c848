// What goes wrong: told at the top, and an expired session signs in again and comes back here with nothing typed lost.

import { byId } from "../shared/dom.js";
import { signedInJustNow, signIn } from "./oidc.js";
import { Refused } from "./sales.js";

let passing = false; // what is told went wrong in asking anew, and goes away when that goes right

export function showProblem({ title, detail }) {
  passing = false;
  for (const [id, text] of [
    ["problem-title", `${title}.`],
    ["problem-detail", detail ?? ""],
  ]) {
    if (byId(id).textContent !== text) byId(id).textContent = text; // said once, not at each attempt
  }
  byId("problem").hidden = false;
}

export const clearProblem = () => (byId("problem").hidden = true);

/** Run something that speaks to the API, `anew` when it only shows what is there; answers the problem when it was refused. */
export async function attempt(action, { anew = false } = {}) {
  try {
    await action();
    if (anew && passing) clearProblem();
    return null;
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    const { problem } = error;
    // A token that is refused right after it was given would send us round in circles.
    if (problem.status === 401 && !signedInJustNow()) {
      await signIn();
    } else if (problem.status === 401) {
      showProblem({
        title: "U hebt geen toegang",
        detail: "Uw account wordt hier niet geaccepteerd. Vraag de beheerder om toegang.",
      });
    } else {
      showProblem(problem);
    }
    passing = anew;
    return problem;
  }
}
