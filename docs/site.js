// Tables that are wider than the page scroll in a frame that the theme puts around them; the keyboard reaches it too.
document$.subscribe(() => {
  requestAnimationFrame(() => {
    for (const frame of document.querySelectorAll(".md-typeset__scrollwrap")) {
      frame.tabIndex = 0;
      frame.setAttribute("role", "region");
      frame.setAttribute("aria-label", "Table");
    }
  });
});
