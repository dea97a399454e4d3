# What is written, and how it is named.
$ cp $S/tests/data/toy/oracle_conv.onnx m.onnx; cp $S/tests/data/toy/oracle_conv.io/input__x.npy x.npy; cp x.npy y.npy
$ onnxplain explain m.onnx x.npy --method saliency --target 2 --format npy --out maps
! x.npy: array (1,1,4,4) float32, taken as it is
! saliency: class 2, *
! no Softmax or Sigmoid found: the model's output is taken as the score
! wrote maps/x.saliency.npy
x.npy
*  class 0
*  class 1
*  class 2
$ head -c 128 maps/x.saliency.npy | grep -ao "'shape': ([^)]*)"
'shape': (1, 1, 4, 4)
$ onnxplain explain m.onnx x.npy y.npy --method saliency,grad-cam --target 0 --target 1 --format png,json --out many --quiet; ls many
x.grad-cam.0.json
x.grad-cam.0.png
x.grad-cam.1.json
x.grad-cam.1.png
x.saliency.0.json
x.saliency.0.png
x.saliency.1.json
x.saliency.1.png
y.grad-cam.0.json
y.grad-cam.0.png
y.grad-cam.1.json
y.grad-cam.1.png
y.saliency.0.json
y.saliency.0.png
y.saliency.1.json
y.saliency.1.png
$ onnxplain explain m.onnx x.npy --layer conv1,relu1 --out layers --quiet --format npy; ls layers
x.grad-cam.conv1.npy
*
x.grad-cam.relu1.npy
$ onnxplain explain $S/tests/data/toy/oracle_conv_two_inputs.onnx y=y.npy x=x.npy --method saliency --out two --quiet --format npy; ls two
y.saliency.x.npy
y.saliency.y.npy
$ onnxplain explain m.onnx x.npy --method saliency --out - --format npy --quiet | head -c 6 | tail -c 5
NUMPY
$ onnxplain explain m.onnx x.npy --out - --format json --quiet | grep -e '"sha256"' -e '"file"' -e '"layer"'
    "file": "m.onnx",
    "sha256": "e8afe2e0d6decd3f2975f3c48c0559e9b132822204f44c9455e579c55af3b973",
      "file": "x.npy",
    "layer": "relu1",
$ sha256sum m.onnx | cut -c1-64
e8afe2e0d6decd3f2975f3c48c0559e9b132822204f44c9455e579c55af3b973
$ onnxplain compare m.onnx x.npy --method saliency,grad-cam --out sheet.png --quiet; head -c 4 sheet.png | tail -c 3
PNG
# The class is a seed: three targets, one compilation.
$ OXP_LOG=compile onnxplain explain m.onnx x.npy --method saliency --target 0 --target 1 --target 2 --format npy --out t --quiet 2>&1 | grep -c '^compile: '
1
$ onnxplain explain m.onnx x.npy --method saliency,lrp --dry-run
! x.npy: array (1,1,4,4) float32, taken as it is
saliency * 1 pass of *, workspace *, weights *
lrp * 1 pass of *, workspace *, weights *
all of them * 2 passes, * GFLOP
# The plain executor in double gives the same map to the last digit that float has.
$ onnxplain explain m.onnx x.npy --precision f64 --method saliency --format npy --out f64 --quiet; head -c 60 f64/x.saliency.npy | grep -ao "<f8"
<f8
# Token ids become words: in colour on the terminal, and over the words of a vocabulary beside the model.
$ mkdir text; cp $S/tests/data/samples/bert_tiny_sms_spam.onnx text/m.onnx; cp $S/tests/data/samples/bert_tiny_sms_spam.io/input__*.npy text
$ cd text; onnxplain explain m.onnx input__input_ids.npy input__attention_mask.npy --method saliency --format ansi --quiet | head -1 | tr -d '\033' | grep -c '\[0m 0×44$'
1
$ cd text; onnxplain explain m.onnx input__input_ids.npy input__attention_mask.npy --method saliency --format ansi --quiet --vocab $S/tests/data/samples/bert_tiny_vocab.txt | head -1 | sed 's/\x1b\[[0-9;]*m//g'
[CLS] free cash prize ! call 0 8 0 0 1 2 3 4 5 6 now to claim [SEP] [PAD]×44
$ cd text; cp $S/tests/data/samples/bert_tiny_vocab.txt vocab.txt; onnxplain explain m.onnx input__input_ids.npy input__attention_mask.npy --method saliency --format ansi --quiet --out words; ls words; onnxplain inspect m.onnx | grep vocabulary
input__input_ids.saliency.0.ansi
input__input_ids.saliency.1.ansi
vocabulary   2391
$ onnxplain explain m.onnx x.npy --method saliency --format ansi --quiet
! onnxplain: only tokens are written to a terminal: draw other maps as png
? 1
# Baselines from files: x from itself is nothing, and the parameter stays as it was typed.
$ onnxplain explain m.onnx x.npy --method deeplift --set baseline=y.npy --out base --quiet --format json; grep -e '"baseline"' -e '"expected"' base/x.deeplift.json
      "baseline": "y.npy",
        "expected": 0
$ onnxplain explain $S/tests/data/toy/oracle_conv_two_inputs.onnx x.npy y.npy --method deeplift --set baseline=x=x.npy,y=y.npy --out base2 --quiet --format json; grep -e '"expected"' base2/x.deeplift.json
        "expected": 0
$ onnxplain explain $S/models/efficientnet-lite0.onnx $S/photos/chelsea.png --method deeplift --set baseline=black --out base3 --quiet --format json; grep -c '"completeness_gap": [0-9.e-]*e-0[5-9]' base3/chelsea.deeplift.json
1
