// What the pages do beyond being read: a growing world's news come in, older posts follow by themselves, ties light up.
// Everything works without it. HTML that arrives was made by the same templates as the page, where all texts are escaped.
"use strict";
(() => {
  const MOST_POSTS = 300;   // in a page that only grows
  const MOST_PAGES = 8;     // that follow by themselves; then the reader asks
  const posts = document.getElementById("posts");

  const made = (html) => {
    const template = document.createElement("template");
    template.innerHTML = html;
    return template.content.firstElementChild;
  };

  // --- News of a growing world ---------------------------------------------------------------------------------------
  const live = document.querySelector("[data-live]");
  if (live && "EventSource" in window && location.protocol !== "file:") follow(live.dataset.live);

  function follow(address) {
    const source = new EventSource(address);
    const people = document.getElementById("people");
    const on = (kind, act) => source.addEventListener(kind, (event) => act(JSON.parse(event.data)));

    on("progress", ({ html }) => replace("progress", html));
    on("masthead", ({ html, title }) => { replace("masthead", html); document.title = title; });
    on("side", ({ html }) => replace("side", html));
    on("post", ({ key, html }) => {
      document.getElementById("empty")?.remove();
      arrive(posts, posts.querySelector(`[data-key="${CSS.escape(key)}"]`), made(html));
      while (posts.children.length > MOST_POSTS) posts.lastElementChild.remove();
      if (scrollY > 900) announce();
    });
    on("person", ({ key, html }) => {
      if (people) arrive(people, people.querySelector(`[data-character="${CSS.escape(key)}"]`), made(html));
    });
    on("portrait", ({ key, html }) => {
      for (const old of document.querySelectorAll(`[data-avatar-of="${CSS.escape(key)}"]`)) {
        const portrait = made(html);
        portrait.className = old.className;
        old.replaceWith(portrait);
      }
    });
    source.addEventListener("end", () => source.close());
  }

  function replace(id, html) {
    const place = document.getElementById(id);
    if (place && !place.contains(document.activeElement)) place.innerHTML = html;
  }

  function arrive(list, known, element) {
    if (known) { known.replaceWith(element); return; }
    element.classList.add("arrived");
    list.prepend(element);
  }

  const news = document.querySelector(".news");
  let unseen = 0;
  function announce() {
    unseen += 1;
    news.hidden = false;
    news.querySelector("span").textContent = unseen;
  }
  if (news) addEventListener("scroll", () => { if (scrollY < 900) { unseen = 0; news.hidden = true; } }, { passive: true });

  // --- Older posts ---------------------------------------------------------------------------------------------------
  let followed = 0;
  const nearEnd = "IntersectionObserver" in window && location.protocol !== "file:" && posts
    ? new IntersectionObserver((seen) => { if (seen.some((one) => one.isIntersecting)) older(); }, { rootMargin: "1200px" })
    : null;
  const watch = () => {
    const link = document.querySelector(".older a[rel=next]");
    if (nearEnd && link && followed < MOST_PAGES) nearEnd.observe(link);
  };
  watch();

  async function older() {
    const link = document.querySelector(".older a[rel=next]");
    if (!link) return;
    nearEnd.disconnect();
    followed += 1;
    let answer;
    try { answer = await fetch(link.href); } catch { return; }   // offline: the link is still there
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const post of page.querySelectorAll("#posts > *"))
      if (!posts.querySelector(`[data-key="${CSS.escape(post.dataset.key)}"]`)) posts.append(document.adoptNode(post));
    const next = page.querySelector(".older a[rel=next]");
    if (next) { link.href = next.getAttribute("href"); watch(); } else link.parentElement.remove();
  }

  // --- Who knows whom ------------------------------------------------------------------------------------------------
  for (const graph of document.querySelectorAll(".graph svg")) {
    const tied = [...graph.querySelectorAll("[data-ends]")].map((one) => [one, one.dataset.ends.split(" ")]);
    const nodes = [...graph.querySelectorAll("[data-node]")];
    const point = (key) => {
      graph.classList.toggle("pointed", Boolean(key));
      const near = new Set([key]);
      for (const [one, ends] of tied) {
        one.classList.toggle("on", ends.includes(key));
        if (ends.includes(key)) ends.forEach((end) => near.add(end));
      }
      for (const node of nodes) node.classList.toggle("on", near.has(node.dataset.node));
    };
    for (const node of nodes) {
      node.addEventListener("pointerenter", () => point(node.dataset.node));
      node.addEventListener("pointerleave", () => point(null));
      node.addEventListener("focus", () => point(node.dataset.node));
      node.addEventListener("blur", () => point(null));
    }
  }
})();
