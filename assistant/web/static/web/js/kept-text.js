// <kept-text name="…">: wraps a form; what was typed survives a reload and a sign-in, and leaves when it is sent.
// The text stays in this tab's session storage. Enter sends, Shift+Enter makes a new line.
class KeptText extends HTMLElement {
  connectedCallback() {
    const field = this.querySelector("textarea");
    const form = this.querySelector("form");
    const key = `kept:${this.getAttribute("name")}`;
    this.forgetSent(field.dataset.asked);
    if (!field.value) field.value = sessionStorage.getItem(key) ?? "";
    field.addEventListener("input", () => sessionStorage.setItem(key, field.value));
    field.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      if (field.value.trim()) form.requestSubmit();
    });
    form.addEventListener("submit", () => {
      form.querySelector("button[type=submit]").disabled = true;
    });
    addEventListener("pageshow", () => (form.querySelector("button[type=submit]").disabled = false));
  }

  /** The server has taken this question: nothing is left to keep. */
  forgetSent(asked) {
    if (!asked) return;
    for (const key of Object.keys(sessionStorage)) {
      if (key.startsWith("kept:") && sessionStorage.getItem(key).trim() === asked) sessionStorage.removeItem(key);
    }
  }
}

customElements.define("kept-text", KeptText);
