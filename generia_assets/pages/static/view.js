// One thing at a time: a picture in a dialog, the keys that lead from post to post, and the link to a post for somebody else.
// Without it a picture is a link to its post or its file, and everything is reached by Tab.
"use strict";
(() => {
  const SWIPE = 50;   // pixels of a finger's way that turn to the next picture
  const ITEMS = "article.post, .person-card";
  const zoom = document.querySelector("dialog.zoom"), help = document.querySelector("dialog.keys"), toast = document.querySelector(".toast");
  if (!zoom) return;
  document.documentElement.classList.add("scripted");
  const rightToLeft = zoom.dataset.dir === "rtl";
  const ways = { j: 1, k: -1, ArrowRight: rightToLeft ? -1 : 1, ArrowLeft: rightToLeft ? 1 : -1 };

  // --- A picture over the page ---------------------------------------------------------------------------------------
  const image = zoom.querySelector("img"), stage = zoom.querySelector(".stage");
  const pictures = () => [...document.querySelectorAll("a.picture")].filter((one) => !one.closest(".deleted"));
  let shown = null;

  function show(picture) {
    const all = pictures(), at = all.indexOf(picture), source = picture.querySelector("img");
    const about = picture.closest("article, .profile");
    const name = about.querySelector(".by a, h1"), text = about.querySelector(".text")?.innerText ?? "";
    shown = picture;
    stage.classList.remove("actual");
    image.src = source.currentSrc || source.src;
    image.alt = source.alt;
    const link = zoom.querySelector(".caption a");
    link.href = postOf(about) ?? location.href;
    link.replaceChildren(Object.assign(document.createElement("b"), { textContent: name.textContent }), text && ` ${text}`);
    link.dir = name.dir;
    link.lang = name.lang || document.documentElement.lang;
    zoom.querySelector(".described").textContent = source.lang === "en" || document.documentElement.lang === "en" ? source.alt : "";
    zoom.querySelector(".count").textContent = all.length > 1 ? `${at + 1} / ${all.length}` : "";
    zoom.querySelector(".previous").hidden = at < 1;
    zoom.querySelector(".next").hidden = at + 1 >= all.length;
    if (at + 1 < all.length) new Image().src = all[at + 1].querySelector("img").src;
    if (!zoom.open) open();
    picture.scrollIntoView({ block: "center", behavior: "instant" });   // the page follows: further posts come, and the way back is short
  }

  // Back closes the picture, and not the page: it has an entry of its own in the history.
  function open() {
    zoom.showModal();
    history.scrollRestoration = "manual";   // the page stays where the last picture is
    history.pushState({ picture: true }, "");
  }
  addEventListener("popstate", () => { zoom.close(); history.scrollRestoration = "auto"; });

  const turn = (by) => { const all = pictures(), next = all[all.indexOf(shown) + by]; if (next) show(next); };
  const postOf = (item) => item.querySelector(".replies, h2 a:not(.post *)")?.href.split("#")[0];

  document.addEventListener("click", (event) => {
    const picture = event.target.closest("a.picture");
    if (!picture || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    show(picture);
  });
  zoom.querySelector(".close").addEventListener("click", () => zoom.close());
  zoom.querySelector(".previous").addEventListener("click", () => turn(-1));
  zoom.querySelector(".next").addEventListener("click", () => turn(1));
  zoom.addEventListener("close", () => { if (history.state?.picture) history.back(); image.removeAttribute("src"); shown?.focus({ preventScroll: true }); });
  zoom.addEventListener("keydown", (event) => {
    if (!ways[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    turn(ways[event.key]);
  });
  stage.addEventListener("click", (event) => {
    const box = image.getBoundingClientRect(), scale = Math.min(box.width / image.naturalWidth, box.height / image.naturalHeight);
    const beside = Math.abs(event.clientX - box.left - box.width / 2) > scale * image.naturalWidth / 2
      || Math.abs(event.clientY - box.top - box.height / 2) > scale * image.naturalHeight / 2;
    if (beside) zoom.close();
    else stage.classList.toggle("actual", scale < 1 && !stage.classList.contains("actual"));
  });
  let finger = null;
  stage.addEventListener("touchstart", (event) => { finger = event.touches.length === 1 ? event.touches[0] : null; }, { passive: true });
  stage.addEventListener("touchend", (event) => {
    const end = event.changedTouches[0], across = finger ? end.clientX - finger.clientX : 0;
    if (stage.classList.contains("actual") || Math.abs(across) < SWIPE || Math.abs(across) < 2 * Math.abs(end.clientY - finger.clientY)) return;
    turn((across < 0) === rightToLeft ? -1 : 1);
  }, { passive: true });

  // --- A link for somebody else --------------------------------------------------------------------------------------
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-share]");
    const post = button?.closest(".post:not(.alone)");
    if (button) share(post ? postOf(post) : location.origin + location.pathname);
    if (event.target.closest("button[data-keys]")) help.showModal();
  });

  async function share(url) {
    if (navigator.share && matchMedia("(pointer: coarse)").matches) {
      try { await navigator.share({ title: document.title, url }); } catch { /* the reader changed their mind */ }
      return;
    }
    try { await navigator.clipboard.writeText(url); } catch { prompt(toast.dataset.copy, url); return; }   // no clipboard without https
    toast.textContent = toast.dataset.copied;
    setTimeout(() => { toast.textContent = ""; }, 2500);
  }

  // --- Keys ----------------------------------------------------------------------------------------------------------
  const KEYS_OFF = "generia.keys.off";
  const remembered = (act) => { try { return act(localStorage); } catch { return null; } };   // storage may be forbidden
  const box = help.querySelector("input");
  box.checked = !remembered((storage) => storage.getItem(KEYS_OFF));
  box.addEventListener("change", () => remembered((storage) => box.checked ? storage.removeItem(KEYS_OFF) : storage.setItem(KEYS_OFF, "1")));

  // The post that the reader is at: the one with the focus, else the first that begins on the screen.
  const current = () => document.activeElement.closest(ITEMS)
    ?? [...document.querySelectorAll(ITEMS)].find((one) => one.getBoundingClientRect().top >= -1);

  function step(by) {
    const way = document.querySelector(`.around a[rel=${by > 0 ? "next" : "prev"}]`);
    if (way || document.querySelector(".around")) { if (way) location.assign(way.href); return; }
    const all = [...document.querySelectorAll(ITEMS)], at = all.indexOf(document.activeElement.closest(ITEMS));
    const next = at < 0 ? current() : all[at + by];
    if (!next) return;
    next.tabIndex = -1;
    next.focus({ preventScroll: true });
    next.scrollIntoView({ block: "start", behavior: "instant" });
  }

  const acts = {
    "/": () => document.querySelector("[role=search] input")?.focus(),
    o: () => { const address = current() && postOf(current()); if (address) location.assign(address); },
    p: () => current()?.querySelector(".by a, h2 a")?.click(),
    e: () => current()?.querySelector("a.picture")?.click(),
    c: () => current()?.querySelector("[data-share]")?.click(),
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (event.target.closest("input, textarea, select, [contenteditable]")) return;
    if (event.key === "?") return help.showModal();
    if (!box.checked) return;
    if (event.key === "Enter" && event.target.matches(ITEMS)) return acts.o();
    const arrow = event.key.startsWith("Arrow");
    if (arrow && event.target.closest("[tabindex='0']")) return;   // it scrolls what has the focus
    const act = ways[event.key] ? () => step(ways[event.key]) : Object.hasOwn(acts, event.key) && acts[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
})();
