"""The registered sets of road pictures."""

from __future__ import annotations

from plaza_training.data.dataset import DataSet, Split, listed

VEHICLE626 = DataSet(
    name="vis-vehicle626",
    title="Vehicle_Detection_YOLOv8 v3: 14 of its 18 videos, 476 of its 626 frames",
    licence="CC-BY-4.0",
    source="https://universe.roboflow.com/farzad/vehicle_detection_yolov8/dataset/3",
    attribution="farzad on Roboflow Universe; frames of videos from Pexels. Changes: as published.",
    files=listed("vis-vehicle626"),
    family="vision",
    may_ship=True,
    splits=(Split("train", 407, "train/images"), Split("valid", 69, "valid/images")),
    protocol="as published, where every video is in both parts; and with whole videos held out",
)

ROADCAM4 = DataSet(
    name="vis-roadcam4",
    title="atl-version-2 v12: one of three augmented copies of each training frame",
    licence="CC-BY-4.0",
    source="https://universe.roboflow.com/finalproject-bqip3/atl-version-2/dataset/12",
    attribution=(
        "finalproject-bqip3 on Roboflow Universe. Changes: long side 960 pixels, JPEG quality 85, "
        "one frame shared with the test split removed; bus, car and truck pooled, bike left out."
    ),
    files=listed("vis-roadcam4"),
    family="vision",
    may_ship=True,
    splits=(
        Split("train", 234, "train/images"),
        Split("valid", 31, "valid/images"),
        Split("test", 19, "test/images"),
    ),
    protocol="as published; most cameras are in several parts",
)

STREET_CLIP = DataSet(
    name="vis-opendatacam-clip",
    title="OpenDataCam's demonstration: 499 consecutive frames of one street camera",
    licence="MIT",
    source="https://github.com/opendatacam/opendatacam"
    "/tree/7080baa3e212c85fb1283a22a49d82019edeeb87/public/static/placeholder",
    attribution="OpenDataCam, copyright 2018-2021 Move Lab, MIT licence.",
    files=listed("vis-opendatacam-clip"),
    family="vision",
    may_ship=True,
    splits=(Split("frames", 499, "frames"),),
    protocol="none: its detections are a machine's; for tracking and counting",
)

ROAD_CLIPS = DataSet(
    name="vis-clips",
    title="A clip of cars on a road, 377 frames",
    licence="CC-BY-4.0",
    source="https://github.com/intel-iot-devkit/sample-videos"
    "/tree/57978890822836f2b4743852f04f62fc511757e4",
    attribution="Intel IoT DevKit sample videos.",
    files=listed("vis-clips"),
    family="vision",
    may_ship=True,
    protocol="none: unlabelled",
)

CITY_STILLS = DataSet(
    name="vis-uk-traffic-stills",
    title="Stills of London and North-East England cameras: offline, torn, night and good ones",
    licence="OGL-UK-3.0",
    source="https://github.com/datasciencecampus/chrono_lens"
    "/tree/26c45dc28e012fd0460894371b1587bd6bf7b7e6/tests/test_data/time_series",
    attribution="Powered by TfL Open Data; North East Travel Data; ONS Data Science Campus.",
    files=listed("vis-uk-traffic-stills"),
    family="vision",
    may_ship=True,
    protocol="none: for tests of picture quality",
)
