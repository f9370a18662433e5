(() => {
  const chosen = document.cookie.match(/(?:^|; )lang=(LANGUAGES)(?:;|$)/);
  const language = chosen ? chosen[1] : navigator.language.startsWith("ko") ? "ko" : "en";
  // Gradio takes its language from here, once, before any script of a page could say otherwise.
  Object.defineProperty(navigator, "language", { get: () => language });
  document.documentElement.lang = language;
  window.honeLanguage = (name) => {
    document.cookie = `lang=${name}; path=/; max-age=31536000; samesite=lax`;
    location.reload();
  };
  const row = () => document.getElementById("chat-row");
  window.honeMenu = () => row()?.classList.toggle("side-open");
  document.addEventListener("click", (event) => {
    if (!event.target.closest || event.target.closest("#menu")) return;
    const chose = event.target.closest("#new-chat, #conversations label");
    if (chose || !event.target.closest("#side, .options")) row()?.classList.remove("side-open");
  });
  // A script in a link runs as the page. No sanitiser is trusted with that alone.
  document.addEventListener("click", (event) => {
    const links = event.composedPath().filter((part) => part.getAttribute && part.localName === "a");
    const target = (link) => link.getAttribute("href") || link.getAttribute("xlink:href") || "";
    const scripted = /^[\s\u0000-\u001f]*(javascript|data|vbscript):/i;
    if (links.some((link) => scripted.test(target(link)))) {
      event.preventDefault();
      event.stopImmediatePropagation();
    }
  }, true);
  // What is shown to keep markup from being markup, and the version under an answer, are not copied.
  const plain = (text) => String(text).replace(/<\u200b/g, "<").replace(/\s*<sub>[^<]*<\/sub>\s*$/, "");
  const clipboard = navigator.clipboard;
  if (clipboard) {
    const write = clipboard.writeText.bind(clipboard);
    clipboard.writeText = (text) => write(plain(text));
  }
  document.addEventListener("copy", (event) => {
    const selected = String(document.getSelection());
    if (selected.includes("<\u200b")) {
      event.clipboardData.setData("text/plain", plain(selected));
      event.preventDefault();
    }
  });
  const fetched = window.fetch;
  window.fetch = async (resource, options = {}) => {
    const url = String((resource && resource.url) || resource);
    if (url.includes("/queue/join")) {
      const headers = new Headers(options.headers || {});
      headers.set("X-Hone-Build", "BUILD_ID");
      options = { ...options, headers };
    }
    const answer = await fetched(resource, options);
    // Once in ten seconds, so that two servers of different builds cannot keep a page reloading.
    const reloaded = Number(sessionStorage.getItem("honeReloaded") || 0);
    if (answer.status === 409 && url.includes("/queue/join") && Date.now() - reloaded > 10000) {
      sessionStorage.setItem("honeReloaded", String(Date.now()));
      await honeKeep(fetched);
      location.reload();
    }
    if (answer.status === 401) {
      await honeKeep(fetched);
      location.href = "/login?next=" + encodeURIComponent(location.pathname + location.search);
    }
    return answer;
  };
})();
