// Copy buttons: hidden until there is a script that can copy.
import { byId } from "../shared/dom.js";

const done = byId("copied");

for (const button of document.querySelectorAll("[data-copy]")) {
  if (!navigator.clipboard) break;
  button.hidden = false;
  button.addEventListener("click", async () => {
    const code = byId(button.dataset.copy ?? "");
    try {
      await navigator.clipboard.writeText(code.textContent);
      done.textContent = "";
      requestAnimationFrame(() => {
        done.textContent = done.dataset.done ?? "";
      });
    } catch {
      getSelection()?.selectAllChildren(code);
    }
  });
}
