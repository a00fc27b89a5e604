"""What our detector costs over a bare LiteRT loop that stops at the raw heads."""

import cv2
import numpy as np
from ai_edge_litert.interpreter import Interpreter
from timing import alternated, table

from vigie.bundle import newest_bundle
from vigie.cartoons import MovingScene
from vigie.detectors import load_detector
from vigie.pictures import Picture, encode_jpeg
from vigie.settings import load_settings

PICTURES = 40
ROUNDS = 9
THREADS = 2


def main() -> None:
    bundle = newest_bundle(load_settings().models)
    scene = MovingScene(3, 640, 480, 3)
    jpegs = [encode_jpeg(scene.at(seq)[0]) for seq in range(PICTURES)]
    detector = load_detector(bundle.folder, runtime="tflite", threads=THREADS)
    spec = bundle.manifest.input
    interpreter = Interpreter(model_path=str(bundle.file("model_fp32.tflite")), num_threads=THREADS)
    interpreter.allocate_tensors()
    place = interpreter.get_input_details()[0]["index"]
    outputs = [output["index"] for output in interpreter.get_output_details()]
    mean, std = np.float32(spec.mean_rgb), np.float32(spec.std_rgb)

    def ours() -> None:
        for jpeg in jpegs:
            detector.detect([Picture.from_bytes(jpeg)])

    def bare() -> None:
        for jpeg in jpegs:
            bgr = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
            rgb = cv2.resize(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), (spec.width, spec.height))
            interpreter.set_tensor(place, ((rgb.astype(np.float32) - mean) / std)[None])
            interpreter.invoke()
            for output in outputs:
                interpreter.get_tensor(output)

    seconds = alternated({"bare LiteRT, raw heads": bare, "vigie, detections": ours}, ROUNDS)
    title = f"JPEG 640x480 to detections: {bundle.manifest.name}, {spec.width}x{spec.height}, {THREADS} threads"
    print(table(title, seconds, PICTURES, "pictures", "bare LiteRT, raw heads"))


if __name__ == "__main__":
    main()
