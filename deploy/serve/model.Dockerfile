# An image that brings its classifier: one tag is one model, and going back is the tag before.
#
#   mkdir image && cp model.onnx deploy/serve/model.Dockerfile image/ && chmod a+r image/model.onnx
#   docker build -f image/model.Dockerfile --build-arg BASE=foveate-serve:0.1.0 -t fashion:1 image/
ARG BASE=foveate-serve:0.1.0
FROM ${BASE}
ARG MODEL=model.onnx
COPY ${MODEL} /models/model.onnx
