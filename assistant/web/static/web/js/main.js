// What pages can do beyond forms and links. Each behaviour is one element that wraps markup that works without it.
import "./answer-stream.js";
import "./bulk-choice.js";
import "./copy-answer.js";
import "./kept-text.js";
import "./live-part.js";
import "./session-clock.js";
import "./shortcuts.js";
import "./source-links.js";
import "./upload-drop.js";

document.documentElement.classList.add("scripted");

// Where the pages do not fit beside each other, the present one is in sight.
const here = document.querySelector(".nav-pages [aria-current]");
if (here) {
  const pages = here.closest("nav");
  const [outer, inner] = [pages.getBoundingClientRect(), here.getBoundingClientRect()];
  pages.scrollLeft += (inner.left + inner.right - outer.left - outer.right) / 2;
}

// A menu closes when the pointer or Escape leaves it.
document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});
