// <bulk-choice>: a table of rows with boxes; a box in the head ticks all, the number chosen is told.
import { say } from "./dom.js";

class BulkChoice extends HTMLElement {
  connectedCallback() {
    this.addEventListener("change", (event) => {
      const boxes = [...this.querySelectorAll("tbody input[type=checkbox]")];
      if (event.target.matches("[data-role=all]")) for (const box of boxes) box.checked = event.target.checked;
      const chosen = boxes.filter((box) => box.checked).length;
      const told = this.querySelector("[data-role=chosen]");
      if (told) told.textContent = chosen ? say(chosen === 1 ? "chosen_one" : "chosen", { number: chosen }) : "";
    });
  }
}

customElements.define("bulk-choice", BulkChoice);
