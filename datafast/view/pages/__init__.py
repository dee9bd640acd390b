"""The pages of the viewer, one a module: `PAGE` is what `app.PAGES` lists."""
