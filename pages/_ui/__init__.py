"""The Streamlit parts that the pages share; nothing outside `app.py` and `pages/` imports them."""
