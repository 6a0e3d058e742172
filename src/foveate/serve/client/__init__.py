"""A client of `foveate serve`: sends images, waits out a busy or restarting server.

    with Client("http://localhost:8000", token=os.environ["FOVEATE_TOKEN"]) as client:
        client.predict("shirt.jpg").label
        client.predict(["a.jpg", "b.jpg"])        # several at once, in the order given
        for one in client.stream(paths):          # any number, memory stays flat
            ...

It answers as `foveate.Classifier` does: an image that cannot be used is a prediction with an
`error`, and only what concerns every image (no server, a wrong token) is raised. It needs httpx,
which comes with `foveate[serve]`.

    client ─> retrying ─> connection ═ HTTP ═> server
       └─ errors <──┘
"""

from foveate.serve.client.client import NOT_ANSWERED, Client

__all__ = ["NOT_ANSWERED", "Client"]
