// On every page: a question that an address points at is open, and all are open on paper.

const questions = () => document.querySelectorAll("details.question");

function openTarget() {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const question = target && target.closest("details.question");
  if (question) {
    question.open = true;
    question.scrollIntoView();
  }
}

addEventListener("hashchange", openTarget);
addEventListener("beforeprint", () => questions().forEach((question) => (question.open = true)));
openTarget();
