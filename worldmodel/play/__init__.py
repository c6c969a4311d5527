"""`worldmodel play`: a person drives the dream in the browser, beside the real simulator under the same actions.

session.py is one driver's state and knows no socket; engine.py steps the dreams of all sessions in one batch;
conductor.py says when; server.py serves the page and the sockets.
"""
