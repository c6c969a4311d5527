"""`worldmodel play`: a person drives the dream in the browser, beside the real simulator under the same actions.

session.py is one driver's state and knows no socket; dreams.py steps the dreams of all sessions in one batch; ticker.py
decides when; server.py serves the page and the sockets; tab.py is what stands between a session and its socket.
"""
