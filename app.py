"""Home: what the app does in one picture and one sentence, the samples, the state of the models.

`streamlit run app.py` imports this file to find the server's routes, then runs it for each visitor.
"""

from __future__ import annotations

import streamlit as st

from pages._ui import errors, server

if server.is_starting():
    server.warm_up()
    app = st.App(__file__, routes=server.routes(), on_script_error=errors.caught)
else:
    from pages._ui import frame, home

    frame.open_page(
        frame.NAME,
        "A diffusion network turns a satellite picture into a map in a single pass. Watch the map "
        "form out of noise, measure what each step does, and take it home as GeoTIFF or polygons.",
    )
    for part in (home.hero, home.gallery, home.status):
        with errors.guard():
            part()
