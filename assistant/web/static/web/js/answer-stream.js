// <answer-stream>: wraps an answer that is still being written, follows its events, and at the end puts the server's
// own rendering in its place. Without this element the page shows the state and a link to look again.
import { announce, csrfToken, el, freshElement, say } from "./dom.js";
import { blocks } from "./prose.js";

const OPEN_AGAIN_MS = 3000;

class AnswerStream extends HTMLElement {
  connectedCallback() {
    this.article = this.closest(".answer");
    this.textBox = this.querySelector("[data-role=text]");
    this.status = this.querySelector("[data-role=status]");
    this.thinking = this.querySelector("[data-role=thinking]");
    this.stopForm = this.querySelector("[data-role=stop]");
    this.text = "";
    this.frame = 0;
    this.stopForm?.addEventListener("submit", (event) => this.stop(event));
    this.open();
  }

  disconnectedCallback() {
    this.source?.close();
    clearTimeout(this.again);
    cancelAnimationFrame(this.frame);
  }

  open() {
    this.source = new EventSource(this.dataset.events);
    const on = (name, act) => this.source.addEventListener(name, (event) => act(event.data ? JSON.parse(event.data) : {}));
    on("status", (data) => this.showStatus(data));
    on("sources", (data) => this.showSources(Array.isArray(data) ? data : data.sources ?? []));
    on("thinking", (data) => this.showThinking(data.text ?? ""));
    on("delta", (data) => this.append(data.text ?? ""));
    on("done", () => this.finish());
    this.source.addEventListener("error", (event) => (event.data ? this.finish() : this.lost()));
  }

  lost() {
    // The browser reconnects by itself unless the server refused; then the page as it stands tells why.
    if (this.source.readyState !== EventSource.CLOSED) return;
    this.again = setTimeout(() => this.finish(), OPEN_AGAIN_MS);
  }

  showStatus({ status, position, attended }) {
    if (!this.status) return;
    if (status === "queued") {
      const before = (position ?? 1) - 1; // the next in line has position 1
      if (attended === false) this.status.textContent = say("waiting_nobody");
      else this.status.textContent = before > 0 ? say(before === 1 ? "waiting_one" : "waiting", { number: before }) : say("waiting_none");
    } else {
      // Work begins, perhaps anew after a fault: what an earlier attempt wrote is taken back.
      this.text = "";
      this.textBox?.replaceChildren();
      this.article?.querySelector("[data-role=sources]")?.replaceChildren();
      this.status.textContent = say("reading");
    }
  }

  showSources(sources) {
    const list = this.article?.querySelector("[data-role=sources]");
    if (!list || list.childElementCount) return;
    for (const source of sources) {
      const meta = el("p", { class: "meta" }, source.collection ? el("span", {}, source.collection) : null,
        source.page ? el("span", {}, say("page", { page: source.page })) : null);
      list.append(el("li", { class: "source", id: `${this.dataset.prefix}-s${source.marker}`, "data-marker": source.marker },
        el("h4", {}, el("span", { class: "n" }, `[${source.marker}]`), el("span", { dir: "auto" }, source.title ?? "")), meta));
    }
    list.closest(".sources")?.removeAttribute("hidden");
  }

  showThinking(text) {
    if (!this.thinking) return;
    this.thinking.hidden = false;
    this.thinking.querySelector("[data-role=thinking-text]")?.append(text);
  }

  append(text) {
    if (!this.text && this.status) this.status.textContent = say("writing");
    this.text += text;
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      this.textBox?.replaceChildren(...blocks(this.text, this.dataset.prefix));
    });
  }

  async stop(event) {
    event.preventDefault();
    const button = this.stopForm.querySelector("button");
    button.disabled = true;
    if (this.status) this.status.textContent = say("stopping");
    await fetch(this.stopForm.action, { method: "POST", headers: { "X-CSRFToken": csrfToken() }, credentials: "same-origin" });
  }

  async finish() {
    this.source?.close();
    const fresh = await freshElement(this.article.id);
    if (!fresh) {
      location.reload();
      return;
    }
    this.article.replaceWith(fresh);
    announce(fresh.dataset.announce ?? "");
    document.title = document.title.replace(/^… /, "");
  }
}

customElements.define("answer-stream", AnswerStream);
