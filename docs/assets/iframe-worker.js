/* Pages that are opened as files may start no worker, and the search of the theme is one: there it lives in a frame. */
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      document.body.appendChild(frame);
      this.inside = frame.contentWindow;
      this.inside.answer = data => this.dispatchEvent(new MessageEvent("message", { data }));
      frame.contentDocument.write(`<script>var postMessage = data => answer(data)<\/script><script src="${url}"><\/script>`);
      frame.contentDocument.close();
    }

    postMessage(data) {
      const send = () => this.inside.dispatchEvent(new MessageEvent("message", { data }));
      if (this.inside.document.readyState === "complete") send();
      else this.inside.addEventListener("load", send);
    }
  };
}
