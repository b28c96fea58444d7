// <copy-answer for="id">: its button copies that element's text (the answer with its sources).
import { announce, say } from "./dom.js";

class CopyAnswer extends HTMLElement {
  connectedCallback() {
    const button = this.querySelector("button");
    button?.addEventListener("click", async () => {
      const text = document.getElementById(this.getAttribute("for"))?.textContent.trim() ?? "";
      const before = button.textContent;
      await navigator.clipboard.writeText(text);
      button.textContent = say("copied");
      announce(say("copied"));
      setTimeout(() => (button.textContent = before), 2000);
    });
  }
}

customElements.define("copy-answer", CopyAnswer);
