"""Models: what every checkpoint was trained on, may be used for, and was measured to do."""

from __future__ import annotations

from pages._ui import frame

frame.open_page("Models", "The weights that come with the app: data, licence and measured scores.")
