#!/usr/bin/env bash
# Refine on two machines of four GPUs each, with PyTorch's torchrun and no cluster.
#
#   MEETING=10.0.0.4:29500 IMAGES=/mnt/share/images OUT=/mnt/share/model.onnx deploy/refine/torchrun.sh
#
# Give the same command on each machine; each waits ten minutes for the others. All of them see the same
# folder under the same path (NFS, for example), and have foveate[refine] in the same version. What
# follows the script goes to `foveate train`: `torchrun.sh --set epochs=10`. One process writes the
# classifier and prints the table.
#
# Killed, or a machine lost: give the command again on each. It goes on from the last checkpoint.
set -euo pipefail

# How many machines there are, and how many processes on each: one for each GPU.
NODES="${NODES:-2}"
PROCESSES="${PROCESSES:-4}"

# cuda, or cpu to try it without GPUs.
DEVICE="${DEVICE:-cuda}"

# Where they meet: HOST:PORT of one of the machines. The others must reach this port and, for the
# gradients, each other. NCCL and gloo encrypt nothing: use a network of your own.
MEETING="${MEETING:-first.example.org:29500}"

# Trainings that meet at the same place at the same time need names of their own.
NAME="${NAME:-foveate}"

# One folder a label; the classifier; decoded images and checkpoints. All in the shared folder.
IMAGES="${IMAGES:-/mnt/share/images}"
OUT="${OUT:-/mnt/share/model.onnx}"
export FOVEATE_CACHE="${FOVEATE_CACHE:-/mnt/share/cache}"

# Each process gets its part of this machine's cores; torchrun's own choice is a single one.
THREADS=$(($(nproc) / PROCESSES))
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-$((THREADS > 0 ? THREADS : 1))}"

exec torchrun --nnodes "$NODES" --nproc-per-node "$PROCESSES" \
    --rdzv-backend c10d --rdzv-endpoint "$MEETING" --rdzv-id "$NAME" \
    -m foveate train "$IMAGES" --classifier dnn --device "$DEVICE" --out "$OUT" "$@"
