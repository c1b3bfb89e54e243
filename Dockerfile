# syntax=docker/dockerfile:1

# Compiled apart, so that no compiler and no development package reaches the image that runs.
FROM node:24-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# Without scripts the package "node" brings no second Node: the image's own is used.
RUN npm ci --ignore-scripts
COPY tsconfig*.json ./
COPY src src
COPY bin bin
RUN npm run build && rm -rf node_modules/onnxruntime-node/bin/*/darwin node_modules/onnxruntime-node/bin/*/win32

FROM node:24-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev --ignore-scripts

FROM node:24-slim
# tini: collects processes that were left to process 1, and passes signals on, also where `docker run --init` is not to be had.
RUN apt-get update \
  && apt-get install --yes --no-install-recommends tini \
  && rm -rf /var/lib/apt/lists/*
ENV NODE_ENV=production \
  MILLRACE_ADMIN_HOST=0.0.0.0 \
  MILLRACE_ADMIN_PORT=8080
WORKDIR /app
COPY package.json ./
COPY --from=dependencies /app/node_modules node_modules
# ONNX Runtime, with which products run ONNX models: a development package here, where users bring it beside Millrace.
COPY --from=build /app/node_modules/onnxruntime-common node_modules/onnxruntime-common
COPY --from=build /app/node_modules/onnxruntime-node node_modules/onnxruntime-node
COPY --from=build /app/bin bin
COPY --from=build /app/dist dist
COPY config config
COPY products products
# For checkpoints, where no other place is set: mount a volume there to keep them.
RUN mkdir checkpoints && chown node checkpoints
USER node
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.MILLRACE_ADMIN_PORT}/livez`).then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["tini", "--"]
CMD ["node", "bin/millrace.js", "run", "--config", "config/millrace.yaml"]
