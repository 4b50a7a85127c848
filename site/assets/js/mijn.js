// Copy buttons: hidden until there is a script that can copy.
const done = document.getElementById('copied');

for (const button of document.querySelectorAll('[data-copy]')) {
  if (!navigator.clipboard) break;
  button.hidden = false;
  button.addEventListener('click', async () => {
    const code = document.getElementById(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(code.textContent);
      done.textContent = '';
      requestAnimationFrame(() => { done.textContent = done.dataset.done; });
    } catch {
      getSelection().selectAllChildren(code);
    }
  });
}
