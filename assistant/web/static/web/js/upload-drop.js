// <upload-drop>: wraps the upload form; files may be dropped anywhere on the page, each shows its progress and its end.
import { csrfToken, el, freshElement, say } from "./dom.js";

class UploadDrop extends HTMLElement {
  connectedCallback() {
    this.form = this.querySelector("form");
    this.input = this.querySelector("input[type=file]");
    this.list = this.querySelector(".uploads");
    this.input.addEventListener("change", () => this.take(this.input.files));
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.take(this.input.files);
    });
    this.onDrag = (event) => {
      if (!event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault();
      document.body.classList.add("drop-over");
    };
    this.onLeave = (event) => {
      if (event.relatedTarget === null) document.body.classList.remove("drop-over");
    };
    this.onDrop = (event) => {
      if (!event.dataTransfer?.files.length) return;
      event.preventDefault();
      document.body.classList.remove("drop-over");
      this.take(event.dataTransfer.files);
    };
    this.onFresh = () => this.tellEnds();
    document.addEventListener("live-part:fresh", this.onFresh);
    document.addEventListener("dragover", this.onDrag);
    document.addEventListener("dragleave", this.onLeave);
    document.addEventListener("drop", this.onDrop);
  }

  disconnectedCallback() {
    document.removeEventListener("live-part:fresh", this.onFresh);
    document.removeEventListener("dragover", this.onDrag);
    document.removeEventListener("dragleave", this.onLeave);
    document.removeEventListener("drop", this.onDrop);
  }

  async take(files) {
    const waiting = [...files].map((file) => ({ file, row: this.row(file) }));
    this.form.reset();
    for (const { file, row } of waiting) await this.send(file, row); // one after the other: the line is shared
    const fresh = await freshElement(this.dataset.refresh);
    if (fresh) document.getElementById(this.dataset.refresh)?.replaceWith(fresh);
    this.tellEnds();
  }

  /** What became of each file, in the words of the list below. */
  tellEnds() {
    for (const row of this.list.querySelectorAll("li[data-document]")) {
      const listed = document.querySelector(`tr[data-document="${CSS.escape(row.dataset.document)}"]`);
      const state = listed?.querySelector(".state");
      if (!state) continue;
      row.querySelector("[role=status]").textContent = (listed.querySelector(".why") ?? state).textContent;
      row.querySelector("[role=status]").className = state.className;
    }
  }

  row(file) {
    const state = el("span", { role: "status" }, say("upload_waiting"));
    const bar = el("progress", { max: "100", value: "0", "aria-label": file.name });
    this.list.append(el("li", {}, el("span", { dir: "auto" }, file.name), state, bar));
    return { state, bar };
  }

  send(file, { state, bar }) {
    return new Promise((resolve) => {
      const request = new XMLHttpRequest();
      const body = new FormData();
      body.append("collection", this.dataset.collection);
      body.append("file", file);
      const fail = (sentence) => {
        state.textContent = sentence;
        state.className = "failed";
        bar.remove();
        resolve();
      };
      request.upload.addEventListener("progress", (event) => {
        if (!event.lengthComputable) return;
        bar.value = (100 * event.loaded) / event.total;
        state.textContent = say("upload_sending", { percent: Math.round(bar.value) });
      });
      request.addEventListener("error", () => fail(say("upload_lost")));
      request.addEventListener("load", () => {
        if (request.status === 200 || request.status === 202 || request.status === 201) {
          state.textContent = request.status === 200 ? say("upload_same") : say("upload_taken");
          if (request.status !== 200) bar.closest("li").dataset.document = JSON.parse(request.responseText).id;
          bar.remove();
          resolve();
          return;
        }
        let problem = {};
        try {
          problem = JSON.parse(request.responseText);
        } catch {
          // a proxy's page, not ours: the general sentence will do
        }
        fail(problem.detail ?? say("upload_refused"));
      });
      request.open("POST", this.dataset.url);
      request.setRequestHeader("X-CSRFToken", csrfToken());
      request.setRequestHeader("Accept", "application/json");
      request.send(body);
    });
  }
}

customElements.define("upload-drop", UploadDrop);
