// Keys for the whole page: "/" to the field, "?" to the list of keys. Never while somebody is typing.
const typing = (node) => node instanceof HTMLElement && (node.isContentEditable || node.matches("input, textarea, select"));

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
  if (typing(event.target)) return;
  if (event.key === "/") {
    const field = document.querySelector("[data-shortcut='/']");
    if (!field) return;
    event.preventDefault();
    field.focus();
  } else if (event.key === "?") {
    event.preventDefault();
    document.getElementById("shortcuts")?.showModal();
  }
});
