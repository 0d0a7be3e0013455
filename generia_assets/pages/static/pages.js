// What the pages do beyond being read: a growing world's news come in, and further posts follow by themselves.
// Everything works without it. HTML that arrives was made by the same templates as the page, where all texts are escaped.
"use strict";
(() => {
  const MOST_POSTS = 300;   // in a page that only grows
  const MOST_PEOPLE = 100;  // above it, as many as a page opens with (queries/people.py)
  const MOST_PAGES = 8;     // that follow by themselves; then the reader asks
  const AT_THE_TOP = 40;    // pixels from it: nobody has begun to read, and new posts are shown as they come
  const posts = document.getElementById("posts");
  const oldestFirst = posts?.dataset.order === "oldest";

  const made = (html) => {
    const template = document.createElement("template");
    template.innerHTML = html;
    return template.content.firstElementChild;
  };

  // --- News of a growing world ---------------------------------------------------------------------------------------
  let again = 20;   // times that a feed that was closed is asked for once more
  const live = document.querySelector("[data-live]");
  if (live && "EventSource" in window && location.protocol !== "file:") follow(live.dataset.live);

  function follow(address) {
    const source = new EventSource(address);
    const people = document.getElementById("people");
    const on = (kind, act) => source.addEventListener(kind, (event) => inPlace(() => act(JSON.parse(event.data))));

    on("progress", ({ html }) => replace("progress", html));
    on("masthead", ({ html, title }) => { replace("masthead", html); document.title = title; });
    on("side", ({ html }) => replace("side", html));
    on("post", ({ key, html }) => {
      document.getElementById("empty")?.remove();
      const post = made(html), known = shownPost(key);
      if (!known && !nextTo(post) && wayOn()) { missed = true; return; }   // it follows with those that the way on leads to
      if (!known && !oldestFirst && reading()) return hold(key, post);
      if (arrived(posts, known, post, nextTo(post)) && (scrollY <= AT_THE_TOP || !followed)) letGo();   // never what is read
    });
    on("replied", ({ key, html }) => actionsOf(key)?.replaceWith(made(html)));
    on("commented", ({ key, html }) => {
      const actions = actionsOf(key);
      actions?.parentElement.querySelector(".answers")?.remove();
      actions?.before(made(html));
    });
    on("person", ({ key, html }) => {
      const known = people?.querySelector(`[data-character="${CSS.escape(key)}"]`);
      if (!people || !arrived(people, known, made(html), people.firstElementChild)) return;
      const shown = people.querySelectorAll("[data-character]");
      if (shown.length <= MOST_PEOPLE) return;
      shown[MOST_PEOPLE].remove();
      people.lastElementChild.hidden = false;   // the way to everybody
    });
    on("portrait", ({ key, html }) => {
      const painted = `[data-avatar-of="${CSS.escape(key)}"]`;
      for (const old of [document, ...held.values()].flatMap((part) => [...part.querySelectorAll(painted)])) {
        const portrait = made(html);
        portrait.className = old.className;
        old.replaceWith(portrait);
      }
    });
    source.addEventListener("end", () => source.close());
    source.addEventListener("error", () => {   // closed for good: too many follow at this moment (503), or it is over (204)
      if (source.readyState === EventSource.CLOSED && again-- > 0) setTimeout(follow, 3e4 * (1 + Math.random()), address);
    });
  }

  // Whatever changes above what somebody reads, that stays where it is. Safari does not see to this by itself.
  function inPlace(change) {
    const read = scrollY > AT_THE_TOP && !CSS.supports("overflow-anchor", "auto") && atTheTop();
    const top = read && read.getBoundingClientRect().top;
    change();
    if (read?.isConnected) scrollBy({ top: read.getBoundingClientRect().top - top, behavior: "instant" });
  }

  function replace(id, html) {
    const place = document.getElementById(id);
    if (place && !place.contains(document.activeElement)) place.innerHTML = html;
  }

  const atTheTop = () => [...posts.children].find((post) => post.getBoundingClientRect().bottom > 0);
  const actionsOf = (key) => (shownPost(key) ?? held.get(key))?.querySelector(".actions");
  const shownPost = (key) => posts.querySelector(`[data-key="${CSS.escape(key)}"]`);

  // The shown post before which this one belongs, in the order that the reader chose; undefined: behind all.
  function nextTo(post) {
    const t = Number(post.dataset.t);
    return [...posts.children].find((shown) => (oldestFirst ? t < shown.dataset.t : t >= shown.dataset.t));
  }

  // Whether the element is new to the list, and not another version of one that it knows. It comes in before ``next``.
  function arrived(list, known, element, next) {
    if (known) { known.replaceWith(element); return false; }
    element.classList.add("arrived");
    list.insertBefore(element, next ?? null);
    return true;
  }

  // Of too many posts the last leave the page, and the way on begins where they did, so that whoever goes there gets them back.
  function letGo() {
    if (posts.children.length <= MOST_POSTS) return;
    while (posts.children.length > MOST_POSTS) posts.lastElementChild.remove();
    goOn();
  }

  // New posts wait while somebody reads, so that nothing moves under their eyes. They are shown when the reader wants them, or is
  // back at the top. At most MOST_POSTS wait, the newest: more the page would not keep (letGo).
  const news = document.querySelector(".news");
  const held = new Map();   // by key
  let unseen = 0;
  const reading = () => scrollY > AT_THE_TOP || held.size > 0;

  function hold(key, post) {
    if (!held.has(key)) unseen += 1;
    held.set(key, post);
    if (held.size > MOST_POSTS) held.delete([...held.keys()].reduce((one, other) =>
      (Number(held.get(one).dataset.t) < Number(held.get(other).dataset.t) ? one : other)));
    news.hidden = false;
    news.querySelector("span").textContent = unseen;
  }

  function showHeld() {
    for (const [key, post] of held) arrived(posts, shownPost(key), post, nextTo(post));
    held.clear();
    unseen = 0;
    news.hidden = true;
    letGo();
  }

  news?.addEventListener("click", (event) => {
    event.preventDefault();
    showHeld();
    posts.scrollIntoView();
    posts.querySelector("h2 a")?.focus({ preventScroll: true });
  });
  if (news) addEventListener("scroll", () => { if (held.size && scrollY <= AT_THE_TOP) showHeld(); }, { passive: true });

  // --- Further posts -------------------------------------------------------------------------------------------------
  let followed = 0;
  let missed = false;   // news came that belong behind what is shown
  const nearEnd = "IntersectionObserver" in window && location.protocol !== "file:" && posts
    ? new IntersectionObserver((seen) => { if (seen.some((one) => one.isIntersecting)) further(); }, { rootMargin: "1200px" })
    : null;
  const wayOn = () => document.querySelector(".onward:not([hidden]) a[rel=next]");
  const watch = () => {
    const link = wayOn();
    if (nearEnd && link && followed < MOST_PAGES) nearEnd.observe(link);
  };
  watch();

  // The way on begins after the last post that is shown.
  function goOn() {
    const way = document.querySelector(".onward");
    const asked = new URLSearchParams({ order: posts.dataset.order, after: posts.lastElementChild.dataset.key });
    way.firstElementChild.href = `?${asked}`;
    way.hidden = false;
    followed = 0;
    watch();
  }

  async function further() {
    const link = wayOn();
    if (!link) return;
    nearEnd.disconnect();
    followed += 1;
    missed = false;
    const asked = link.href;
    let answer, text;
    try { answer = await fetch(asked); text = await answer.text(); } catch { return; }   // offline: the link is still there
    if (!answer.ok) return;
    if (link.href !== asked) return watch();   // posts were let go meanwhile: the way on begins elsewhere
    const page = new DOMParser().parseFromString(text, "text/html");
    for (const post of page.querySelectorAll("#posts > *"))
      if (!shownPost(post.dataset.key)) posts.append(document.adoptNode(post));
    const next = page.querySelector(".onward a[rel=next]");
    if (next) { link.href = next.getAttribute("href"); watch(); }
    else if (missed) goOn();
    else link.parentElement.hidden = true;
  }

  // --- The place where somebody was ------------------------------------------------------------------------------------
  // Whoever comes back to a list finds the post that they were at where it was, also if others came above it meanwhile.
  const place = `place ${location.pathname}${location.search}`;
  if (posts) addEventListener("pagehide", () => {
    const at = scrollY > AT_THE_TOP && atTheTop();
    if (at) sessionStorage.setItem(place, JSON.stringify([at.dataset.key, at.getBoundingClientRect().top]));
    else sessionStorage.removeItem(place);
  });
  const came = performance.getEntriesByType("navigation")[0]?.type;
  const left = (came === "back_forward" || came === "reload") && posts && sessionStorage.getItem(place);
  if (left) goBackTo(...JSON.parse(left));

  async function goBackTo(key, top) {
    history.scrollRestoration = "manual";
    while (nearEnd && !shownPost(key) && wayOn() && followed < MOST_PAGES) await further();
    for (let frame = 0; frame < 4; frame += 1) {   // posts get their height when they come into sight
      const post = shownPost(key);
      if (!post) return;
      scrollBy({ top: post.getBoundingClientRect().top - top, behavior: "instant" });
      await new Promise(requestAnimationFrame);
    }
  }
})();
