# The demo model names what is on the photos.
$ onnxplain predict $S/models/efficientnet-lite0.onnx $S/photos/coffee.png --top 2
! */coffee.png: 600 x 400 PNG, resized to *, centre 224 x 224, * (preprocessor_config.json)
*/coffee.png
   9*.* %  espresso (967)
    *.* %  cup (968)
$ onnxplain inspect $S/models/efficientnet-lite0.onnx
file         */efficientnet-lite0.onnx
producer     pytorch *
opset        13 (IR version 7)
nodes        181: 49 Conv, 49 BatchNormalization, *
parameters   4694026 (9.61 MB)
input        images float32 (N,3,224,224)
output       logits float32 (N,1000)
supported    yes
labels       1000
score        outputs of 1000 classes: logits (1,1000)
gradient     by images (1,3,224,224)
layers       head (1,1280,7,7) by default, * others: --layers
attention    none
work         * MFLOP forward, * GFLOP with saliency, in * MB besides the weights
$ onnxplain inspect $S/tests/data/samples/vit_tiny_fashion_mnist.onnx | grep attention
attention    3 maps, the last /b.2/a/Softmax_output_0 (1,4,17,17)
$ onnxplain inspect $S/tests/data/toy/ask_unused_input.onnx | grep gradient
gradient     by x (1,3)
gradient     by unused (1,2): none, the score does not depend on it
$ onnxplain inspect $S/tests/data/toy/opset_leaky__where.onnx | grep stops
stops at     1 Greater ('Greater_positive')
$ onnxplain inspect $S/models/efficientnet-lite0.onnx --json | grep -A 1 '"layers"\|"score"'
  "score": {
    "tensor": "logits",
--
  "layers": [
    {
$ onnxplain inspect $S/models/efficientnet-lite0.onnx --layers | grep -c auto
1
$ onnxplain inspect --ops | head -1
operator * opsets * forward * gradient
# Every operator has a gradient or is said to have none.
$ onnxplain inspect --ops | tail -n +2 | grep -vE '(rule|by its parts|non-differentiable)$'
? 1
$ onnxplain inspect --ops | awk '$1 == "Conv" { print $1 }'
Conv
$ onnxplain inspect $S/tests/data/toy/oracle_conv.onnx --plan | grep -c ' # Conv_conv1$'
2
# Preprocessing that nobody gave is told, and doubted when the model is unsure.
$ mkdir bare; cp $S/models/efficientnet-lite0.onnx bare/m.onnx
$ onnxplain explain bare/m.onnx $S/photos/astronaut.png --out bare --format npy
! */astronaut.png: 512 x 512 PNG, * (preset imagenet, assumed)
! warning: the preprocessing was assumed and the top class has only *.* %: *--preprocess
! grad-cam: class *
! no Softmax or Sigmoid found: the model's output is taken as the score
! wrote bare/astronaut.grad-cam.npy
*/astronaut.png
    *.* %  class *
    *.* %  class *
    *.* %  class *
