"""A local web page of outputs: `datafast view`, `dataset.inspect()`, `datafast generate --view`.

    Outputs          a file, or what is found in a folder
    Viewer           what the pages of one viewer share
    PAGES            the pages, in the order of the navigation; `app.viewer_app` makes an ASGI application of them
    ViewerServer     serves it on this machine alone

Guarantee: nothing is written beside the user's files but what a page is permitted to (`Viewer.permits`); whoever does not know the token
gets nothing (`guard`); nothing is fetched from elsewhere, and nothing that stands in a row is run.
"""
