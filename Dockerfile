# Enhances photos without TensorFlow:
#
#     docker build -t lowlight .
#     docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/photos" lowlight night.jpg -o enhanced
FROM python:3.12-slim AS build
COPY . /source
RUN pip install --no-cache-dir --prefix=/installed /source

FROM python:3.12-slim
COPY --from=build /installed /usr/local
RUN useradd --create-home photographer
USER photographer
# Whoever --user names has no home: models that are downloaded are kept here, as long as the container is.
ENV XDG_CACHE_HOME=/tmp/cache
WORKDIR /photos
ENTRYPOINT ["lowlight"]
CMD ["--help"]
