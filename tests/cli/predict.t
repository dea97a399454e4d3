# The demo model names what is on the photos.
$ onnxplain predict $S/models/efficientnet-lite0.onnx $S/photos/coffee.png --top 2
! */coffee.png: 600 x 400 PNG, resized to *, centre 224 x 224, * (preprocessor_config.json)
*/coffee.png
   9*.* %  espresso (967)
    *.* %  cup (968)
$ onnxplain inspect $S/models/efficientnet-lite0.onnx | grep -e input -e labels
input        images float32 (N,3,224,224)
labels       1000
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
