// On every page: a question that an address points at is open, and all are open on paper.

/** @returns {NodeListOf<HTMLDetailsElement>} */
const questions = () => /** @type {any} */ (document.querySelectorAll("details.question"));

function openTarget() {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const question = [...questions()].find((one) => target && one.contains(target));
  if (question) {
    question.open = true;
    question.scrollIntoView();
  }
}

addEventListener("hashchange", openTarget);
addEventListener("beforeprint", () => {
  for (const question of questions()) question.open = true;
});
openTarget();
