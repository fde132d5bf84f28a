"""An HTTP service of one's own (`rtface serve` is one, too): pip install fastapi uvicorn

uvicorn --app-dir examples fastapi_app:app
curl --data-binary @group.jpg http://127.0.0.1:8000/faces?tasks=emotion,pose
"""

from __future__ import annotations

from typing import Annotated, Any

import cv2
import numpy as np
from fastapi import Body, FastAPI, HTTPException

import rtface

MOST_BYTES = 20 * 2**20

app = FastAPI(title="Faces")


@app.post("/faces")
def faces(picture: Annotated[bytes, Body(media_type="application/octet-stream")], tasks: str = "emotion,pose") -> Any:
    """The faces of a JPEG or PNG. A plain `def`: FastAPI runs it in a thread, and `analyze` takes turns."""
    if len(picture) > MOST_BYTES:
        raise HTTPException(413, "the picture is too large")
    image = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR) if picture else None
    if image is None:
        raise HTTPException(415, "expected a JPEG or PNG")
    try:
        result = rtface.analyze(image, tasks=tasks.split(","))
    except rtface.InputError as error:  # a task that there is not
        raise HTTPException(422, str(error)) from error
    return result.to_dict(parsing=False)
